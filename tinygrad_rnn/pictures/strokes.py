"""The gradients as SVG: strokes beside edges, the ribbon of all steps, and the scale in the legend.

Every amount differs in more than its colour: a larger one is wider (a stroke) or higher (a bar), what is below the
scale is dotted, an exact zero has a ring, what the pass did not reach a bar across, and nan or inf a diamond.
"""

from __future__ import annotations

from itertools import groupby, pairwise

from . import theme
from .amount import LEVELS, Amount, Scale
from .layout import Point
from .overlay import beside
from .ribbon import Bar, Ribbon, Row
from .text import line_width

MARKS = {"zero": "z", "none": "n", "nan": "x"}
WORDS = {"zero": "exactly 0", "none": "not reached", "nan": "nan or inf"}
STROKE = 18.0  # px of each level in the legend
RUN_WORDS = {"zero": "0", "none": "not reached", "nan": "nan"}

HATCH = (
    '<pattern id="{p}hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="{p}hp" d="M0 0V6"/></pattern>'
)


def number(x: float) -> str:
    """One decimal at most."""
    return f"{x:.1f}".removesuffix(".0")


def stroke(p: str, a: Amount, scale: Scale, edge: list[Point], curve: str) -> str:
    """What goes back along an edge. `edge` has y down already, and `curve` is the path through ``beside(edge)``."""
    line = beside(edge)
    if a.kind == "number":
        level = scale.level(a)
        head = _head(p, level, line[-2], line[-1])
        return f'<path class="{p}d{level}" d="{curve}"><title>∇ {a}</title></path>{head}'
    x, y = _middle(line)
    return f'<path class="{p}d{MARKS[a.kind]}" d="{curve}"/>' + _mark(p, a.kind, x, y)


def _head(p: str, level: int, before: Point, tip: Point) -> str:
    """The head of an arrow, in the colour of its stroke and somewhat wider."""
    (ax, ay), (bx, by) = before, tip
    upright = abs(ay - by) > 0.05
    dx, dy = (0, 1 if by > ay else -1) if upright else (1 if bx > ax else -1, 0)
    half = theme.width(level) / 2 + 1.3
    back = (bx - dx * (half + 3), by - dy * (half + 3))
    left, right = (back[0] - dy * half, back[1] + dx * half), (back[0] + dy * half, back[1] - dx * half)
    corners = " ".join(f"{number(x)} {number(y)}" for x, y in (left, tip, right))
    return f'<path class="{p}b{level}" d="M{corners}z"/>'


def _middle(line: list[Point]) -> Point:
    """The middle of the longest piece."""
    (ax, ay), (bx, by) = max(
        pairwise(line), key=lambda ends: abs(ends[0][0] - ends[1][0]) + abs(ends[0][1] - ends[1][1])
    )
    return (ax + bx) / 2, (ay + by) / 2


def _mark(p: str, kind: str, x: float, y: float) -> str:
    at = f"{number(x)} {number(y)}"
    shapes = {
        "zero": f'<circle class="{p}bz" cx="{number(x)}" cy="{number(y)}" r="3"/>',
        "none": f'<path class="{p}dn" d="M{at}m-3.5 -3.5l7 7m-7 0l7 -7"/>',
        "nan": f'<path class="{p}bx" d="M{at}m0 -5l5 5l-5 5l-5 -5z"/>',
    }
    return f"<g><title>∇ {WORDS[kind]}</title>{shapes[kind]}</g>"


# ------------------------------------------------------------------ the ribbon


def ribbon(p: str, r: Ribbon, titles: dict[str, str]) -> str:
    """The columns of every layer, with its scale at the left and the numbers of steps below."""
    out = [_window(p, r)]
    for row in r.rows:
        out.append(_row(p, r, row, titles[row.layer]))
    for row, first, last, kind in r.runs():
        out.append(_run(p, r, row, first, last, kind))
    for x in r.cuts:  # row by row, so that no words are crossed out
        down = "".join(f"M{number(x)} {number(row.base - r.tall - 4)}V{number(row.base + 4)}" for row in r.rows)
        out.append(f'<path class="{p}rule" d="{down}"/>')
    foot = number(r.foot + 12)
    out += [f'<text class="{p}s" x="{number(x)}" y="{foot}">{t}</text>' for x, t in r.ticks()]
    return "".join(out)


def _window(p: str, r: Ribbon) -> str:
    """Brackets below the steps that the picture shows."""
    out, tops = [], sorted(r.shown)
    for k, (x, width) in enumerate(tops):
        start = k == 0 or x - tops[k - 1][0] > width + 0.1
        if start:
            last = k
            while last + 1 < len(tops) and tops[last + 1][0] - tops[last][0] <= width + 0.1:
                last += 1
            end = tops[last][0] + width
            out.append(f'<path class="{p}hl" d="M{number(x)} {number(r.foot + 2.5)}H{number(end)}"/>')
    return "".join(out)


def _row(p: str, r: Ribbon, row: Row, title: str) -> str:
    base, left = row.base, r.width - r.px * r.columns
    out = [
        f'<g role="img" aria-label="gradient of {title}">',
        f'<text class="{p}l {p}q" x="{number(left)}" y="{number(base - r.tall - 8)}">{r.words(row, title)}</text>',
        f'<path class="{p}hl" d="M{number(left)} {number(base)}H{number(r.width)}"/>',
    ]
    for height, words in r.levels():
        at = f'x="{number(left - 4)}" y="{number(base - height + 3)}"'
        out.append(f'<text class="{p}s {p}q {p}r" {at}>{words}</text>')
    bars = sorted((bar for bar in row.bars if bar.amount.kind == "number"), key=lambda bar: bar.level)
    for level, group in groupby(bars, key=lambda bar: bar.level):
        lines = "".join(f"M{number(bar.x + r.px / 2)} {number(base)}v-{number(bar.height)}" for bar in group)
        out.append(f'<path class="{p}d{level}" style="stroke-width:{r.px};stroke-dasharray:none" d="{lines}"/>')
    if row.layer in r.tops:
        x, _, a = r.tops[row.layer]
        y = base - r.tall * r.scale.height(a) - 1
        out.append(f'<path class="{p}bx" d="M{number(x)} {number(y)}l-3.5 -5h7z"/>')
    return "".join(out) + "</g>"


def _run(p: str, r: Ribbon, row: Row, first: Bar, last: Bar, kind: str) -> str:
    """Neighbouring steps that have a mark and no height: a field, and the word where there is room."""
    x, width, words = first.x, last.x + r.px - first.x, RUN_WORDS[kind]
    tall = r.tall if kind != "zero" else 6.0
    span = f"t = {first.first} … {last.last}" if first.first != last.last else f"t = {first.first}"
    corner = f'x="{number(x)}" y="{number(row.base - tall)}" width="{number(width)}" height="{number(tall)}"'
    out = f'<rect class="{p}b{MARKS[kind]}" {corner}><title>{span}: {WORDS[kind]}</title></rect>'
    if width > line_width(words, 10) + 4 or kind == "nan":
        y = row.base - tall / 2 + 3 if kind == "none" else row.base - tall - 3
        out += f'<text class="{p}s {p}ww" x="{number(x + width / 2)}" y="{number(y)}">{words}</text>'
    return out


# ------------------------------------------------------------------ the legend


def scale_legend(p: str, scale: Scale, kinds: set[str], width: float) -> tuple[str, float]:
    """A sample of each stroke with its number, and the marks that occur; and its height."""
    words = "gradient that goes back, its norm:"
    out = [f'<text class="{p}l" x="0" y="4">{words}</text>']
    x = line_width(words, 10) + 8
    for place, number_at in scale.ticks(5):
        out.append(f'<text class="{p}s" x="{number(x + place * LEVELS * STROKE)}" y="14">{number_at}</text>')
    for level in range(1, LEVELS + 1):
        out.append(f'<path class="{p}d{level}" d="M{number(x)} 0h{number(STROKE)}"/>')
        x += STROKE
    x, y = x + 18, 0.0
    below = [("below", f"below {scale.ends[0]}")] if "below" in kinds else []
    samples = below + [(kind, WORDS[kind]) for kind in MARKS if kind in kinds]
    for kind, text in samples:
        need = 30 + line_width(text, 10) + 12
        if x + need > width:
            x, y = 0.0, y + 22
        out.append(f'<path class="{p}d{MARKS.get(kind, "0")}" d="M{number(x)} {number(y)}h24"/>')
        if kind in MARKS:
            out.append(_mark(p, kind, x + 12, y))
        out.append(f'<text class="{p}l" x="{number(x + 30)}" y="{number(y + 4)}">{text}</text>')
        x += need
    return "".join(out), y + 24
