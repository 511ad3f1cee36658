// The picture: only the tiles that are in view exist, each built when it comes near.

const SCISSORS =
  "M-7 -3.2L7 4M-7 3.2L7 -4M-7 -3.2m-2.6 -2.1a2.6 2.1 0 1 0 0.01 0zM-7 3.2m-2.6 -2.1a2.6 2.1 0 1 0 0.01 0z";
const TOP = 34; // px above the graph, for the headings of the steps
const READABLE = 1.5; // the size at which the text in a box has 15 px
const DECADES = 12; // of the scale of gradients

const scene = data.picture;
const tiles = scene.tiles.map(([shape, x, y, t, first, bundle, given]) => {
  const form = scene.shapes[shape];
  const numbers = Array.isArray(first) ? first : Array.from({ length: form.records }, (_, k) => first + k);
  return { form, x, y, t, numbers, bundle: scene.bundles[bundle], given: scene.given[given], width: form.width, groups: null };
});
const long = scene.long.map(([kind, x, width, path]) => ({ kind, x, width, path, groups: null }));
const boxOf = []; // by number of a record: its tile, and its box there
for (const tile of tiles) tile.numbers.forEach((number, k) => (boxOf[number] = { tile, k }));

let largest = Number.MIN_VALUE; // of all gradients that the tape has numbers for
for (const x of data.gradient.flat(2)) {
  if (Math.abs(x) > largest && Math.abs(x) < Infinity) largest = Math.abs(x);
}

/** The norms of all outputs of a record, those that are numbers. */
function normsOf(kind, record) {
  return record.form.names.map((_, k) => normOf(figureOf(kind, record, k))).filter(Number.isFinite);
}

/** Where a norm is on the scale of gradients: 1 for the largest of the tape, 0 for twelve decades less. */
function level(norm) {
  if (!(norm > 0)) return 0;
  return Math.min(1, Math.max(0, 1 + Math.log10(norm / largest) / DECADES));
}

const frame = svg("svg", { role: "img", "aria-label": "The graph around this op; the line above says where the walk is" });
const camera = svg("g", { class: "camera" });
const layers = ["columns", "edges", "boxes"].map(() => svg("g")); // from back to front
const band = svg("rect", { class: "band", width: "100%", height: TOP - 4 });
const headings = svg("g", { class: "camera" }); // above them, and always in sight
frame.append(markers(), camera, band, headings);
camera.append(...layers);
document.getElementById("picture").append(frame);
drawCuts();

function markers() {
  const tips = ["e", "es", "eg", "ec"].map((kind) =>
    svg("marker", { id: `tip-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8,
                    markerUnits: "userSpaceOnUse", orient: "auto" },
        svg("path", { class: `tip ${kind}`, d: "M0 .6L8 4L0 7.4z" })));
  return svg("defs", {}, ...tips);
}

/** The cuts: a rule from top to bottom, scissors, and the word. */
function drawCuts() {
  for (const x of scene.rules) {
    layers[1].append(svg("path", { class: "rule", d: `M${x} -8V${scene.height + 10}` }));
    addHeading(headings, x, "detach").append(
      svg("path", { class: "scissors", d: SCISSORS, transform: "translate(0 38) rotate(90)" }));
  }
}

/** Words over a column, in the band above the graph; they are as large at any size of the graph. */
function addHeading(group, x, words) {
  const heading = svg("g", { class: "heading", "data-x": x }, svg("text", { y: 20 }, words));
  group.append(heading);
  return heading;
}

/** Make the elements of a tile: a group in each layer. */
function build(tile) {
  const [column, edges, boxes] = layers.map((layer) => {
    const group = svg("g", { transform: `translate(${tile.x} ${tile.y})` });
    layer.append(group);
    return group;
  });
  if (tile.t !== null) {
    const top = -tile.y;
    column.append(
      svg("rect", { class: "column", x: -8, y: top - 8, width: tile.width + 16, height: scene.height + 16, rx: 6 }));
  }
  const lines = [...tile.form.edges.map((edge) => ["e", ...edge]), ...tile.bundle];
  tile.edges = lines.map(([kind, target, path]) => {
    const element = svg("path", { class: `edge ${kind}`, d: path });
    edges.append(element);
    return { target, element };
  });
  tile.marks = tile.form.boxes.map((box, k) => buildBox(tile, boxes, box, k));
  const heading = tile.t === null ? [] : [addHeading(headings, tile.x + tile.width / 2, stepName(tile.t))];
  tile.groups = [column, edges, boxes, ...heading];
}

/** An edge over several columns. */
function buildLong(line) {
  const element = svg("path", { class: `edge ${line.kind}`, d: line.path });
  layers[1].append(element);
  line.groups = [element];
}

/** A box with its lines of text, two of them left for its value and its gradient. */
function buildBox(tile, group, [kind, x, y, width, height, extra, ...lines], k) {
  const round = ["input", "leaf", "entry"].includes(kind) ? Math.min(width, height) / 2 : 3;
  const element = svg("g", { class: `box ${kind}` }, svg("rect", { x, y, width, height, rx: round }));
  if (kind === "loss") {
    element.append(svg("rect", { x: x + 3, y: y + 3, width: width - 6, height: height - 6, rx: 1.5 }));
  }
  const first = y + height / 2 - (12.5 * (lines.length + extra - 1)) / 2 + 4.2;
  const centre = x + width / 2;
  lines.forEach((line, n) => element.append(label(line, tile.t, centre, first + 12.5 * n, n === 0 ? "name" : "")));
  const marks = { element };
  if (k < tile.numbers.length) {
    element.dataset.record = tile.numbers[k];
    marks.value = svg("text", { class: "value", x: centre, y: first + 12.5 * lines.length });
    marks.gradient = svg("text", { class: "nabla", x: centre, y: first + 12.5 * (lines.length + 1) });
    marks.bar = svg("rect", { class: "bar", x: x + 3, y: y + height - 4.5, width: width - 6, height: 3 });
    element.append(marks.value, marks.gradient, marks.bar);
  } else {
    const given = tile.given[k - tile.numbers.length] ?? [];
    given.forEach((line, n) => element.append(svg("text", { x: centre, y: first + 12.5 * (lines.length + n) }, line.replaceAll("-", "−"))));
  }
  group.append(element);
  return marks;
}

/** A line of text, its parts alternately plain and set as an index. */
function label(parts, t, x, y, name) {
  const text = svg("text", { class: name, x, y });
  parts.forEach((part, k) => {
    if (!part) return;
    const words = part.replaceAll(MARK, t);
    const shift = k % 2 ? 2.5 : k > 0 ? -2.5 : 0;
    text.append(k === 0 ? words : svg("tspan", { class: k % 2 ? "index" : "", dy: shift }, words));
  });
  return text;
}

/** Move to a place of the walk: build what comes into view, drop what leaves it, and mark every box that is there. */
function showPicture(place) {
  const { record, phase } = walk[place];
  const shown = drawnFor(record.number);
  const { width, height } = look(boxOf[shown[0]]);
  for (const tile of tiles) {
    if (inView(tile, width, build)) markTile(tile, place, shown, phase);
  }
  for (const line of long) inView(line, width, buildLong);
  frame.setAttribute("viewBox", `0 0 ${width * zoom} ${height * zoom + TOP}`);
  camera.style.transform = `translate(${-view.x * zoom}px, ${TOP - view.y * zoom}px) scale(${zoom})`;
  headings.style.transform = `translate(${-view.x * zoom}px, 0)`;
  for (const heading of headings.children) heading.setAttribute("transform", `translate(${heading.dataset.x * zoom} 0)`);
}

/** Whether something is in view or close to it; builds it when it comes, and drops it when it goes. */
function inView(part, width, make) {
  const visible = part.x < view.x + width + 60 && part.x + part.width > view.x - 60;
  if (visible && !part.groups) make(part);
  if (!visible && part.groups) {
    for (const group of part.groups) group.remove();
    part.groups = null;
  }
  return visible;
}

/** The records to point at: this one, or, where it is in no picture of its own, those that are made from it. */
function drawnFor(number) {
  const found = [], seen = new Set([number]), waiting = [number];
  while (waiting.length && found.length < 50) {
    const next = waiting.shift();
    if (boxOf[next]) found.push(next);
    else {
      for (const [user] of users[next]) {
        if (!seen.has(user)) waiting.push(user);
        seen.add(user);
      }
    }
  }
  return found;
}

const view = { x: 0, y: 0 }; // its upper left corner, in the graph
let zoom = 1;
let chosen = null; // the size that was asked for: a number, or "fit"; null until then

/** Larger or smaller by a factor, or so that all is to be seen. */
function setZoom(by) {
  chosen = by === "fit" ? "fit" : within(zoom * by, 0.2, 4);
  showPicture(place);
}

/** The size at which the graph is shown: at first all of it, then as one can read it. */
function zoomFor(width, height) {
  const tall = height / (scene.height + 28), wide = width / (scene.width + 32);
  const fit = Math.min(2, wide > 0.6 * tall ? Math.min(tall, wide) : tall); // a long one is seen in its height only
  const automatic = place === 0 ? fit : Math.max(fit, width < 480 || height < 300 ? 1.1 : READABLE);
  zoom = chosen === "fit" ? fit : (chosen ?? automatic);
  document.getElementById("fit").setAttribute("aria-pressed", zoom === fit);
}

/** Turn the view to a box: in the middle where there is more to both sides. Gives how much of the graph is seen. */
function look(box) {
  const room = frame.parentElement.clientWidth;
  const bars = document.querySelector(".controls").offsetHeight;
  const limit = Math.max(220, Math.min(window.innerHeight - bars - 24, Math.max(window.innerHeight * 0.66, 420)));
  zoomFor(room, limit - TOP);
  const tall = Math.min(limit, TOP + (scene.height + 28) * zoom);
  frame.style.height = `${tall}px`;
  const width = room / zoom, height = (tall - TOP) / zoom;
  let x = view.x + width / 2, y = view.y + height / 2;
  if (box) {
    const [, left, top, w, h] = box.tile.form.boxes[box.k];
    x = box.tile.x + left + w / 2;
    y = box.tile.y + top + h / 2;
  }
  view.x = within(x - width / 2, -16, scene.width + 16 - width);
  view.y = within(y - height / 2, -12, scene.height + 16 - height);
  return { width, height };
}

function markTile(tile, place, shown, phase) {
  tile.marks.forEach((mark, k) => {
    const number = tile.numbers[k];
    if (number === undefined) return;
    const record = records[number];
    const computed = phase !== "forward" || number <= place;
    const met = arrival[number] <= place && phase !== "forward";
    const current = shown.includes(number);
    const lost = phase !== "forward" && arrival[number] === undefined;
    mark.element.setAttribute("class", `box ${tile.form.boxes[k][0]}${computed ? "" : " later"}${current ? " current" : ""}${met ? " met" : ""}${lost ? " lost" : ""}`);
    mark.value.textContent = computed ? valueText(record) : "";
    mark.gradient.textContent = met ? `∇ ${gradientText(record)}` : lost ? "∇ none" : "";
    const size = met ? Math.max(0, ...normsOf("gradient", record)) : 0;
    mark.bar.setAttribute("width", level(size) * (tile.form.boxes[k][3] - 6));
  });
  for (const { target, element } of tile.edges) {
    const number = tile.numbers[target];
    element.classList.toggle("live", number !== undefined && shown.includes(number));
  }
}

function valueText(record) {
  const { shapes } = record.form;
  return shapes.length > 1 ? "" : brief(figureOf("value", record), shapes[0]);
}

function gradientText(record) {
  const { shapes } = record.form;
  if (shapes.length === 1) return brief(figureOf("gradient", record), shapes[0]);
  return `‖${number(normOf(normsOf("gradient", record)))}‖`;
}
