// The page: where the walk is, and what moves it.

const $ = (id) => document.getElementById(id);
const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

let place = 0;
let timer = null;

/** Go to a place of the walk and show it. */
function go(to) {
  place = within(to, 0, walk.length - 1);
  showPicture(place);
  showPanel(place);
  for (const ribbon of ribbons) showRibbon(ribbon, place);
  $("slider").value = place;
  $("slider").setAttribute("aria-valuetext", positionText(place));
  $("status").textContent = `${positionText(place)}: ${sentence(place)}`;
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

function play() {
  if (stillness.matches) { // somebody who asks for less motion moves on by hand
    go(place + 1);
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
  $("status").setAttribute("aria-live", on ? "off" : "polite"); // nobody can listen to that many sentences
}

function tick() {
  go(place + 1);
  if (place === walk.length - 1 || walk[place].phase === "cut") setPlaying(false);
}

const keys = {
  ArrowLeft: () => go(place - 1),
  ArrowRight: () => go(place + 1),
  Home: () => go(0),
  End: () => go(walk.length - 1),
  PageUp: () => leap(-1),
  PageDown: () => leap(1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
  if (event.key === " ") {
    if (["BUTTON", "SUMMARY"].includes(event.target.tagName)) return; // there it presses the button
    event.preventDefault();
    if (timer === null) play();
    else setPlaying(false);
  } else if (event.key in keys) {
    event.preventDefault();
    setPlaying(false);
    keys[event.key]();
  }
});

for (const [id, key] of [["first", "Home"], ["previous", "ArrowLeft"], ["next", "ArrowRight"], ["last", "End"]]) {
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
new ResizeObserver(() => showPicture(place)).observe($("picture"));

// ---------------------------------------------------------------- the start

$("title").textContent = `Tape of ${data.title}`;
document.title = `Tape of ${data.title}, step by step`;
$("summary").textContent = summary();
$("slider").max = walk.length - 1;
$("forwards").style.flexGrow = records.length;
$("backwards").style.flexGrow = walk.length - records.length;
buildRibbons();
go(0);
document.documentElement.dataset.ready = (performance.now() - started).toFixed(1); // ms, for tests

function summary() {
  const layers = data.layers.length ? `${data.layers.join(", ")} over ${times.length} time steps, ` : "";
  const cuts = severed.size ? `, cut ${severed.size === 1 ? "once" : `${severed.size} times`}` : "";
  return `${layers}${records.length} ops, ${data.leaves.length} tensors with a gradient${cuts}`;
}
