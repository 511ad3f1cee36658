// The page: where the walk is, and what moves it.

const $ = (id) => document.getElementById(id);
const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

let place = 0;
let timer = null;
let predicting = false; // what comes out is hidden, until one asks
let revealed = false;

/** Go to a place of the walk and show it. */
function go(to) {
  place = within(to, 0, walk.length - 1);
  revealed = false;
  show();
  if (timer === null) keepAddress();
}

/** The place as a part of the address, counted from 1 as on the page: a link to it. */
function keepAddress() {
  try {
    window.history.replaceState(null, "", `#${place + 1}`);
  } catch { /* a page within another may have no address of its own */ }
}

function placeInAddress() {
  const found = /^#(\d+)$/.exec(window.location.hash);
  return found ? Number(found[1]) - 1 : 0;
}

function show() {
  const secret = predicting && !revealed;
  document.body.classList.toggle("secret", secret);
  showPicture(place);
  showPanel(place);
  for (const ribbon of ribbons) showRibbon(ribbon, place);
  $("slider").value = place;
  $("slider").setAttribute("aria-valuetext", positionText(place));
  const words = secret ? question(place) : sentence(place);
  $("status").textContent = `${positionText(place)}: ${words}`;
  if (predicting) $("panel").prepend(prediction(place));
  for (const id of ["first", "previous"]) $(id).disabled = place === 0;
  for (const id of ["next", "last"]) $(id).disabled = place === walk.length - 1;
}

function positionText(at) {
  const { phase, record } = walk[at];
  const place = `${at + 1} of ${walk.length}`;
  return phase === "forward" ? `Forward, ${place}` : phase === "cut" ? `Cut, ${place}` : `Backward, ${place}`;
}

/** What happens at a place of the walk, in one sentence. */
function sentence(at) {
  const { phase, record, input } = walk[at];
  const where = record.t === null ? "" : ` at ${data.layers[record.layer]} t=${record.t}`;
  const name = data.ops[record.form.op].name;
  if (phase === "forward") return `${name}${where} gives ${namesOf(record)} = ${figures("value", record)}`;
  if (phase === "cut") {
    const t = record.t - input.back;
    return `the gradient stops here: detach. ${input.cut}_${t} goes into step ${record.t} as a constant; what made it gets nothing from here`;
  }
  const to = record.form.inputs
    .map((part, i) => [part, i])
    .filter(([part]) => makerOf(record, part) || "leaf" in part)
    .slice(0, 3)
    .map(([part, i]) => `${partText(record, part, i)} to ${nameOfInput(record, part)}`);
  return `${name}${where} receives ${figures("gradient", record)}` + (to.length ? ` and hands ${to.join(", ")}` : "");
}

function partText(record, input, i) {
  const part = partOf(record, i);
  const maker = makerOf(record, input);
  const shape = maker ? maker.form.shapes[input.output ?? 0] : data.leaves[input.leaf].shape;
  return part === null ? "nothing" : brief(part, shape);
}

function figures(kind, record) {
  return record.form.shapes.map((shape, k) => brief(figureOf(kind, record, k), shape)).join(", ");
}

// ---------------------------------------------------------------- moving

/** To the start of the next time step, or (by = -1) of this one, or of the one before where the walk is at the start. */
function leap(by) {
  const alike = (a, b) => walk[a].record.layer === walk[b].record.layer && walk[a].record.t === walk[b].record.t;
  let to = by > 0 ? place : Math.max(0, place - 1);
  if (by > 0) while (to < walk.length - 1 && alike(to, place)) to++;
  else while (to > 0 && alike(to - 1, to)) to--;
  go(to);
}

/** The time step t, in the phase where the walk is. */
function goToStep(t) {
  const backward = walk[place].phase !== "forward";
  const found = walk.findIndex(({ phase, record }) => record.t === t && (phase !== "forward") === backward);
  if (found >= 0) go(found);
  else $("status").textContent = `No gradient reaches step ${t}: it lies before a cut, or nothing of it is used`;
}

function goToRecord(number) {
  const backward = walk[place].phase !== "forward";
  go(backward ? (arrival[number] ?? number) : number);
}

/** On by an op or by a time step, as is set; or back. */
function move(by) {
  if ($("stride").value === "op") go(place + by);
  else leap(by);
}

function turn() {
  go(records.length);
}

function play() {
  if (stillness.matches) { // somebody who asks for less motion moves on by hand
    move(1);
    $("status").textContent += ". Playing is off, since your system asks for less motion";
    return;
  }
  if (place === walk.length - 1) go(0);
  setPlaying(true);
}

function setPlaying(on) {
  window.clearInterval(timer);
  timer = on ? window.setInterval(tick, 1000 / Number($("speed").value)) : null;
  $("play").setAttribute("aria-label", on ? "Stop" : "Play");
  document.body.classList.toggle("playing", on);
  if (!on) keepAddress();
  $("status").setAttribute("aria-live", on ? "off" : "polite"); // nobody can listen to that many sentences
}

function tick() {
  move(1);
  if (place === walk.length - 1 || walk[place].phase === "cut") setPlaying(false);
}

// ---------------------------------------------------------------- predicting

/** The number that is asked for: what an op gives, or what it hands to its first input. */
function asked(at) {
  const { phase, record } = walk[at];
  const { form } = record;
  if (phase === "forward") return { name: nameOf(record), figure: figureOf("value", record, 0), shape: form.shapes[0] };
  const i = form.inputs.findIndex((part, k) => (makerOf(record, part) || "leaf" in part) && partOf(record, k) !== null);
  if (phase === "cut" || i < 0) return null;
  const input = form.inputs[i], maker = makerOf(record, input);
  const shape = maker ? maker.form.shapes[input.output ?? 0] : data.leaves[input.leaf].shape;
  return { name: `the gradient handed to ${nameOfInput(record, input)}`, figure: partOf(record, i), shape };
}

function question(at) {
  const found = asked(at);
  if (!found) return "what happens here?";
  return sizeOf(found.shape) === 1 ? `what is ${found.name}?` : `what is the norm of ${found.name}?`;
}

/** Where a guess is written down, and judged when it is revealed. */
function prediction(at) {
  const found = asked(at);
  if (revealed) return html("p", { class: "judged", role: "status" }, judged(found));
  const guess = html("input", { id: "guess", type: "text", inputmode: "decimal", size: 9, "aria-label": question(at) });
  const button = html("button", { id: "reveal", title: "Reveal (R)" }, "Reveal");
  button.addEventListener("click", reveal);
  guess.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would press the button that has the focus next
    reveal();
  });
  return html("p", { class: "prediction" }, html("b", {}, question(at).replace("what", "What")), " ", found ? guess : "", " ", button);
}

let guessed = "";

function reveal() {
  if (!predicting || revealed) return;
  guessed = $("guess")?.value.trim().replace("−", "-").replace(",", ".") ?? "";
  revealed = true;
  show();
  $("next").focus();
}

function judged(found) {
  if (!found || guessed === "" || Number.isNaN(Number(guessed))) return "";
  const right = sizeOf(found.shape) === 1 ? Number.parseFloat([found.figure].flat()[0]) : normOf(found.figure);
  const off = Math.abs(Number(guessed) - right);
  if (off <= 0.005 * Math.abs(right) || off < 1e-12) return `${guessed} is right.`;
  return off <= 0.05 * Math.abs(right) ? `${guessed} is close: it is ${number(Number(right.toPrecision(4)))}.` : `It is ${number(Number(right.toPrecision(4)))}, not ${guessed}.`;
}

function setPredicting(on) {
  predicting = $("predict").checked = on;
  revealed = false;
  show();
}

// ---------------------------------------------------------------- what is pressed

const keys = {
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  Home: () => go(0),
  End: () => go(walk.length - 1),
  PageUp: () => leap(-1),
  PageDown: () => leap(1),
  b: turn,
  t: () => ($("stride").value = $("stride").value === "op" ? "time" : "op"),
  f: () => setZoom("fit"),
  "+": () => setZoom(1.25),
  "=": () => setZoom(1.25),
  "-": () => setZoom(0.8),
  p: () => setPredicting(!predicting),
  r: reveal,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT" || event.target.id === "guess") return;
  if (event.key === " ") {
    if (["BUTTON", "SUMMARY"].includes(event.target.tagName) || event.target.type === "checkbox") return; // it is pressed
    event.preventDefault();
    if (timer === null) play();
    else setPlaying(false);
  } else if (event.key in keys) {
    event.preventDefault();
    setPlaying(false);
    keys[event.key]();
  }
});

for (const [id, key] of [["first", "Home"], ["previous", "ArrowLeft"], ["next", "ArrowRight"], ["last", "End"], ["turn", "b"]]) {
  $(id).addEventListener("click", () => {
    setPlaying(false);
    keys[key]();
  });
}
$("play").addEventListener("click", () => (timer === null ? play() : setPlaying(false)));
$("speed").addEventListener("change", () => timer !== null && setPlaying(true));
$("slider").addEventListener("input", () => {
  setPlaying(false);
  go(Number($("slider").value));
});
frame.addEventListener("click", (event) => {
  const box = event.target.closest("[data-record]");
  if (box) goToRecord(Number(box.dataset.record));
});
for (const [id, by] of [["fit", "fit"], ["larger", 1.25], ["smaller", 0.8]]) $(id).addEventListener("click", () => setZoom(by));
$("predict").addEventListener("change", () => setPredicting($("predict").checked));
window.addEventListener("hashchange", () => go(placeInAddress()));
new ResizeObserver(() => showPicture(place)).observe($("picture"));

// ---------------------------------------------------------------- the start

$("title").textContent = `Tape of ${data.title}`;
document.title = `Tape of ${data.title}, step by step`;
$("summary").textContent = summary();
$("slider").max = walk.length - 1;
$("forwards").style.flexGrow = records.length;
$("backwards").style.flexGrow = walk.length - records.length;
buildRibbons();
if (placeInAddress()) go(placeInAddress());
else show();
document.documentElement.dataset.ready = (performance.now() - started).toFixed(1); // ms, for tests

function summary() {
  const layers = data.layers.length ? `${data.layers.join(", ")} over ${times.length} time steps, ` : "";
  const cuts = severed.size ? `, cut ${severed.size === 1 ? "once" : `${severed.size} times`}` : "";
  return `${layers}${records.length} ops, ${data.leaves.length} tensors with a gradient${cuts}`;
}
