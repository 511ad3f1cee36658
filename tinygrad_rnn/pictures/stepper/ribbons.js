// The ribbons: one bar for each time step of the whole tape, on a scale of decades. A click goes there.

/** What can be shown of states: |dL/dh_t| for each state of each layer. */
const stateRows = data.states.map(({ layer, name, norms }) => (
  { name: `∂L/∂${name}_t of ${data.layers[layer]}`, values: new Map(norms.map((norm, k) => [times[k], normOf(norm)])) }
));

/** What each time step contributes to the gradient of a weight. */
const weightRows = data.leaves
  .filter((leaf) => leaf.steps.length > 1)
  .map((leaf) => ({ name: `∂L/∂${leaf.name}, the part of step t`, values: new Map(leaf.steps) }));

const WIDE = 1000, HIGH = 60; // of the drawing, stretched to what room there is
const ribbons = [];

function buildRibbons() {
  const home = document.getElementById("ribbons");
  if (!times.length) return home.remove();
  for (const [rows, kind] of [[stateRows, "state"], [weightRows, "weight"]]) {
    if (rows.length) home.append(buildRibbon(rows, kind));
  }
}

function buildRibbon(rows, kind) {
  const select = html("select", { "aria-label": `What the ${kind} ribbon shows` });
  rows.forEach((row, k) => select.append(html("option", { value: k }, `|${row.name}|`)));
  const bars = svg("path", { class: "bars" }), marks = svg("g", {});
  const cursor = svg("rect", { class: "cursor", y: 0, height: HIGH, width: WIDE / times.length });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" },
                      svg("rect", { class: "ground", width: WIDE, height: HIGH }), marks, bars, cursor);
  const high = html("span", {}), low = html("span", {}), reading = html("span", { class: "reading" });
  const fill = () => {
    const row = rows[select.value];
    ribbon.values = row.values;
    ribbon.name = row.name;
    drawBars(row.values, bars, marks, high, low);
    if (ribbon.place !== undefined) showRibbon(ribbon, ribbon.place);
  };
  const ribbon = { cursor, reading, drawing };
  ribbons.push(ribbon);
  select.addEventListener("change", fill);
  drawing.addEventListener("click", (event) => {
    const box = drawing.getBoundingClientRect();
    goToStep(times[within(Math.floor(((event.clientX - box.left) / box.width) * times.length), 0, times.length - 1)]);
  });
  fill();
  return html("div", { class: `ribbon ${kind}` },
              html("div", { class: "caption" }, select, reading),
              html("div", { class: "axis", "aria-hidden": "true" }, high, low), drawing,
              html("div", { class: "ends", "aria-hidden": "true" },
                   html("span", {}, `t = ${times[0]}`), html("span", {}, `${times[times.length - 1]}`)));
}

/** Bars on a logarithmic scale of two to twelve decades; and marks for what has no place on it. */
function drawBars(values, bars, marks, high, low) {
  const sizes = [...values.values()].filter((x) => Number.isFinite(x) && x > 0);
  const top = sizes.length ? Math.floor(Math.log10(Math.max(...sizes))) + 1 : 0;
  const smallest = sizes.length ? Math.floor(Math.log10(Math.min(...sizes))) : -1;
  const bottom = Math.min(top - 2, Math.max(smallest, top - DECADES));
  high.textContent = `1e${top}`.replace("-", "−");
  low.textContent = `1e${bottom}`.replace("-", "−");
  const step = WIDE / times.length, gap = times.length > 150 ? 0 : step * 0.15;
  let path = "";
  marks.replaceChildren();
  times.forEach((t, k) => {
    const x = values.get(t);
    const left = k * step + gap / 2, width = step - gap;
    if (x > 0 && Number.isFinite(x)) {
      const height = Math.max(0.02, (Math.log10(x) - bottom) / (top - bottom)) * HIGH;
      path += `M${round(left)} ${HIGH}v${round(-height)}h${round(width)}V${HIGH}z`;
    } else {
      const kind = x === null || x === undefined ? "none" : x === 0 ? "zero" : "wrong";
      marks.append(svg("rect", { class: kind, x: left, y: 0, width, height: HIGH }));
    }
    if (severed.has(t)) marks.append(svg("path", { class: "cut", d: `M${k * step} 0V${HIGH}` }));
  });
  bars.setAttribute("d", path);
}

function round(x) {
  return Math.round(x * 10) / 10;
}

function showRibbon(ribbon, place) {
  ribbon.place = place;
  const t = walk[place].record.t;
  ribbon.cursor.style.display = t === null ? "none" : "";
  if (t === null) {
    ribbon.reading.textContent = "";
    return;
  }
  ribbon.cursor.setAttribute("x", (times.indexOf(t) * WIDE) / times.length);
  const x = ribbon.values.get(t);
  const words = x === undefined || x === null ? "no gradient comes here" : Number.isNaN(x) ? "not finite" : number(Number(x.toPrecision(4)));
  ribbon.reading.textContent = `${stepName(t)}: ${words}`;
}
