// The page of the playground: it asks Python, and shows what Python answers. The state is the program, and it is in the
// address: the preset, and the numbers or the text that were changed.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const WAIT = 300; // ms after the last key, before the program is run
const AT_ONCE = 5; // steps of gradient descent between two pictures
const LONG = 3000; // ms of a run, after which one may want to stop it

let preset = data.presets[0];
let shown = {}; // the answer that is on the page
let moved = {}; // numbers that were moved, and not answered yet
let edits = 0; // of the text, counted
let training = false;
const losses = [];

// ---------------------------------------------------------------- asking

let worker = null;
let ready = false;
let running = null; // what Python is at work on
const waiting = { run: null, nudge: null }; // the newest of each kind: older ones are of no use any more
let clock = null;
let stopped = false; // the program as it stands was stopped: it is not run again unasked

function start() {
  ready = false;
  const link = URL.createObjectURL(new Blob([$("worker").textContent], { type: "text/javascript" }));
  worker = new Worker(link, { type: "module" });
  worker.onmessage = ({ data: told }) => {
    if (told.loaded) progress(told.loaded);
    else if (told.failed) failed(told.failed);
    else if (told.ready) begin();
    else answered(JSON.parse(told.answer));
  };
  worker.onerror = (event) => failed(event.message || "the browser gives no reason");
  const library = Uint8Array.from(atob($("library").textContent), (c) => c.charCodeAt(0));
  worker.postMessage({ start: new URL(data.pyodide, location.href).href, library: library.buffer });
  progress(0);
}

function progress(bytes) {
  $("progress").hidden = false;
  $("progress").value = Math.min(99, (100 * bytes) / data.size);
  const seen = shown.picture ? "; until then the pictures stand still" : "";
  say(`Loading Python: ${(bytes / 1e6).toFixed(0)} of about ${(data.size / 1e6).toFixed(0)} MB${seen}`);
}

function failed(why) {
  $("progress").hidden = true;
  say(`Python could not be loaded from ${data.pyodide} (${why}). The pictures stay as they are. `, ["Try again", start]);
}

function begin() {
  $("progress").hidden = true;
  ready = true;
  say("Python is ready");
  document.documentElement.dataset.ready = "true";
  if (!waiting.run && !stopped) ask({});
  next();
}

/** Ask for a run of the program as it stands. */
function ask(more) {
  stopped = false;
  waiting.run = { ...more };
  next();
}

function next() {
  if (!ready || running) return;
  let asked = null;
  if (waiting.run) {
    asked = { code: $("code").value, values: moved, weight: $("weight").value || null, ...waiting.run };
    running = { kind: "run", moved, edits, began: performance.now(), steps: asked.steps };
    moved = {};
    waiting.run = null;
  } else if (waiting.nudge !== null) {
    asked = { nudge: waiting.nudge };
    running = { kind: "nudge" };
    waiting.nudge = null;
  } else return;
  clock = setTimeout(() => say("Your program is still running. ", ["Stop it", stop]), LONG);
  worker.postMessage({ asked: JSON.stringify(asked) });
}

function stop() {
  worker.terminate();
  clearTimeout(clock);
  running = null;
  waiting.run = waiting.nudge = null;
  setTraining(false);
  wrong({ text: "stopped: it ran for too long. Does a loop come to its end?", line: null });
  stopped = true;
  start();
}

function answered(answer) {
  clearTimeout(clock);
  const { kind, edits: then, began, steps } = running;
  running = null;
  if (kind === "nudge") {
    if (answer.text) $("nudge").textContent = answer.text;
  } else {
    if (then === edits && answer.code !== undefined) {
      if ($("code").value !== answer.code) setCode(answer.code);
      keepAddress(answer);
    }
    show(answer);
    if (!answer.error) say(`answered in ${(performance.now() - began).toFixed(0)} ms`);
    if (steps) trained(answer);
    else if (pointed !== null && !answer.error) waiting.nudge = pointed;
  }
  next();
}

/** A line on the state of things, with a button where there is something to do. */
function say(text, [label, action] = []) {
  const button = label ? html("button", {}, label) : "";
  if (label) button.addEventListener("click", action);
  $("status").replaceChildren(text, button);
}

// ---------------------------------------------------------------- showing

function show(answer) {
  if (answer.numbers) showNumbers(answer);
  wrong(answer.error ?? null);
  if (answer.error) return;
  shown = answer;
  $("printed").textContent = answer.printed;
  $("loss").textContent = `loss = ${answer.loss}`;
  $("factors").textContent = typeof answer.factors === "string" ? answer.factors : "";
  showPicture(answer.picture);
  showTape(answer.tape);
  $("time").hidden = !answer.parts;
  if (answer.parts) {
    if (answer.flow.why) why($("ribbon"), answer.flow);
    else $("ribbon").replaceChildren(...answer.flow.map(buildRibbon));
    showParts(answer);
  }
}

function wrong(error) {
  document.body.classList.toggle("stale", Boolean(error));
  $("error").textContent = error ? (error.line ? `Line ${error.line}: ${error.text}` : error.text) : "";
  $("code").setAttribute("aria-invalid", Boolean(error));
  showLines(error?.line);
  if (error) {
    setTraining(false);
    if (document.activeElement === $("code")) $("error").scrollIntoView({ block: "nearest" });
    say("The program has an error; what is shown is of the one before");
  }
}

function why(home, { why: text }) {
  home.replaceChildren(html("p", { class: "why" }, text));
}

/** An SVG as elements. Scripts in it would not run: the policy of this page knows only its own. */
function drawing(text) {
  return document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
}

function showNumbers({ numbers, gradients = {}, error }) {
  const rows = [...$("numbers").querySelectorAll(".number[data-at]")];
  const alike = rows.length === numbers.length && rows.every((row, k) => row.dataset.at === numbers[k].name);
  if (!alike) {
    const heads = html("div", { class: "number heads", "aria-hidden": "true" }, ...["", "", "value", "∂L/∂"].map((word) => html("span", {}, word)));
    $("numbers").replaceChildren(numbers.length ? heads : "No number is given to a name at the left edge.", ...numbers.map(buildNumber));
  }
  [...$("numbers").querySelectorAll(".number[data-at]")].forEach((row, k) => {
    const { name, value, low, high, step } = numbers[k];
    for (const input of row.querySelectorAll("input")) {
      if (input.type === "range") setEnds(input, low, high, step === 1 ? 1 : (high - low) / 400);
      if (!(name in moved) && input !== document.activeElement) input.value = Number(value.toPrecision(4));
    }
    if (!error) row.querySelector("output").textContent = gradients[name] ?? "";
  });
}

/** The ends of a slider, where they are others: setting them ends a drag. */
function setEnds(slider, min, max, step) {
  for (const [name, value] of Object.entries({ min, max, step })) {
    if (slider.getAttribute(name) !== `${value}`) slider.setAttribute(name, value);
  }
}

function buildNumber({ name, step }, k) {
  const slider = html("input", { type: "range", id: `number-${k}` });
  const field = html("input", { type: "number", step: step === 1 ? 1 : "any", "aria-label": `${name}, as a number` });
  const move = (from, to) => () => {
    if (from.value === "" || !Number.isFinite(from.valueAsNumber)) return;
    moved[name] = from === slider && step !== 1 ? Number(from.valueAsNumber.toFixed(3)) : from.valueAsNumber;
    to.value = moved[name];
    ask({});
  };
  slider.addEventListener("input", move(slider, field));
  field.addEventListener("change", move(field, slider));
  return html("div", { class: "number", "data-at": name }, html("label", { for: slider.id }, name), slider, field,
              html("output", { "aria-label": `gradient of ${name}` }));
}

function showPicture(picture) {
  if (picture.why) return why($("picture"), picture);
  $("picture").replaceChildren(drawing(picture.svg));
  for (const group of $("picture").querySelectorAll("g[id]")) {
    const at = picture.nodes[group.id.replace(/^\w+-/, "")];
    if (at !== undefined) group.dataset.at = Array.isArray(at) ? at.join(" ") : at;
  }
}

function showTape({ rows, left_out: left }) {
  const head = ["#", "step", "name", "op", "inputs", "shape", "value", "gradient"];
  const body = rows.map(([k, ...cells]) => {
    const button = html("button", { "aria-label": `record ${k}: change it a little` }, `%${k}`);
    return html("tr", { "data-at": k }, html("td", {}, button), ...cells.map((cell) => html("td", {}, cell)));
  });
  $("tape").replaceChildren(html("thead", {}, html("tr", {}, ...head.map((word) => html("th", { scope: "col" }, word)))),
                            html("tbody", {}, ...body));
  if (left) $("tape").append(html("caption", {}, `${left} records in the middle are left out`));
}

/** A bar for each time step, on a logarithmic scale. */
function buildRibbon({ name, steps, sizes, bars, low, top }) {
  const columns = steps.map((t, k) =>
    html("li", { title: `|${name.replace("_t", `_${t}`)}| = ${sizes[k]}` },
         html("span", { class: "size" }, sizes[k]), html("span", { class: "bar", style: `--height: ${bars[k]}` }), html("span", {}, t)));
  return html("div", { class: "ribbon" }, html("p", {}, `|${name}|, from ${low} to ${top}`),
              html("ol", { class: steps.length > 14 ? "many" : "" }, ...columns));
}

// ---------------------------------------------------------------- the parts of a gradient

function number(x) {
  if (typeof x === "string") return x;
  return (Math.abs(x) < 1e-3 && x !== 0 ? x.toExponential(2) : `${Number(x.toPrecision(4))}`).replaceAll("-", "−");
}

function showParts({ parts, weights, numbers }) {
  const select = $("weight");
  const names = [...select.options].map((option) => option.value);
  if (names.join() !== weights.join()) select.replaceChildren(...weights.map((name) => html("option", { value: name }, name)));
  const cut = parts.triangle && numbers.find((n) => n.name === "scissors");
  $("scissors").hidden = $("cut").hidden = !cut; // no more than needed: hiding it ends a drag
  if (parts.why) return why($("terms"), parts);
  select.value = parts.name;
  const { steps, by_step: sums, terms, triangle, name, total, signed } = parts;
  const most = Math.max(...[...sums, ...(triangle ?? []).flat()].map((x) => Math.abs(x ?? 0)), Number.MIN_VALUE);
  const cell = (x) => html("td", { style: `--bar: ${(100 * Math.abs(x)) / most}%` }, number(x));
  const rows = (triangle ?? []).map((row, i) =>
    html("tr", {}, html("th", { scope: "row" }, `loss of step ${terms[i]}`),
         ...row.map((x, k) => (x !== null ? cell(x) : steps[k] > terms[i] ? html("td", { class: "future" })
           : html("td", { class: "cut", "aria-label": "cut off" }, "✂")))));
  const heads = steps.map((t) => html("th", { scope: "col" }, `used in ${t}`));
  const table = html("table", {}, html("thead", {}, html("tr", {}, html("th", {}), ...heads)),
    html("tbody", {}, ...rows,
         html("tr", { class: "sum" }, html("th", { scope: "row" }, triangle ? "sum" : "part"), ...sums.map(cell))));
  const sentence = signed ? `∂L/∂${name} = ${sums.map(number).join(" + ").replaceAll("+ −", "− ")} = ${number(total)}`
    : `‖∂L/∂${name}‖ = ${number(total)}; the norm of each part is shown`;
  $("terms").replaceChildren(table, html("p", {}, sentence));
  if (cut) showScissors(cut, heads, table.querySelectorAll("td:not(.future)").length - sums.length, table.querySelectorAll(".cut").length);
}

/** The scissors: a second handle of the number of that name, over the edges of the columns. */
function showScissors({ value, low, high }, heads, all, gone) {
  const handle = $("scissors"), thumb = 16, left = heads[0].offsetLeft;
  setEnds(handle, low, high, 1);
  handle.style.marginLeft = `${left - thumb / 2}px`;
  handle.style.width = `${heads[heads.length - 1].offsetLeft - left + thumb}px`;
  if (document.activeElement !== handle) handle.value = value;
  handle.setAttribute("aria-valuetext", value ? `cut after step ${value}` : "no cut");
  $("cut").textContent = value ? `✂ after step ${value}: ${gone} of the ${all} terms are gone` : `no cut: all ${all} terms are there`;
}

$("scissors").addEventListener("input", () => {
  moved.scissors = $("scissors").valueAsNumber;
  ask({});
});
$("weight").addEventListener("change", () => ask({}));

// ---------------------------------------------------------------- the number under the mouse

let pointed = null; // the record or number

/** Light up what shows the same number, and ask what a small change of it does. */
function point(at, from) {
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  pointed = null;
  if (at === undefined) return;
  const all = [...document.querySelectorAll("[data-at]")].filter((element) =>
    element === from || element.dataset.at.split(" ").some((one) => at.split(" ").includes(one)) || at.startsWith(`${element.dataset.at}[`));
  for (const element of all) element.classList.add("lit");
  reveal(all.find((element) => element !== from && $("picture").contains(element)));
  pointed = /^\d/.test(at) ? Number(at.split(" ").pop()) : at;
  waiting.nudge = pointed;
  next();
}

/** Bring a box of the picture into sight, and move nothing else. */
function reveal(box) {
  if (!box) return;
  const frame = $("picture").getBoundingClientRect(), { top, bottom, left, right } = box.getBoundingClientRect();
  if (top < frame.top || bottom > frame.bottom) $("picture").scrollTop += (top + bottom - frame.top - frame.bottom) / 2;
  if (left < frame.left || right > frame.right) $("picture").scrollLeft += (left + right - frame.left - frame.right) / 2;
}

let mouse = ""; // where it is: what only scrolls along under it is not pointed at
function hasMoved({ screenX, screenY }) {
  const before = mouse;
  mouse = `${screenX} ${screenY}`;
  return mouse !== before;
}

window.addEventListener("mousemove", hasMoved);

for (const home of ["numbers", "picture", "tape"]) {
  for (const kind of ["mouseover", "focusin"]) {
    $(home).addEventListener(kind, (event) => {
      const found = event.target.closest("[data-at]");
      if (found && (kind === "focusin" || hasMoved(event))) point(found.dataset.at, found);
    });
  }
  $(home).addEventListener("mouseleave", () => point());
}

// ---------------------------------------------------------------- the program

let timer = null;

function setCode(code) {
  const { selectionStart, scrollTop } = $("code");
  $("code").value = code;
  $("code").setSelectionRange(selectionStart, selectionStart);
  $("code").scrollTop = scrollTop;
  showLines();
}

function showLines(line) {
  const count = $("code").value.split("\n").length;
  $("gutter").replaceChildren(...Array.from({ length: count }, (_, k) =>
    html("span", k + 1 === line ? { class: "wrong" } : {}, `${k + 1}\n`)));
  $("code").rows = Math.min(30, count + 1);
  $("gutter").scrollTop = $("code").scrollTop;
}

$("code").addEventListener("scroll", () => ($("gutter").scrollTop = $("code").scrollTop));
$("code").addEventListener("input", () => {
  edits++;
  moved = {};
  losses.length = 0;
  showLines();
  setTraining(false);
  clearTimeout(timer);
  timer = setTimeout(() => ask({}), WAIT);
});
$("code").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return; // a new line starts where the one before did
  event.preventDefault();
  const before = $("code").value.slice(0, $("code").selectionStart).split("\n").pop();
  const indent = before.match(/^ */)[0] + (before.trimEnd().endsWith(":") ? "    " : "");
  document.execCommand("insertText", false, `\n${indent}`);
});

// ---------------------------------------------------------------- gradient descent

function setTraining(on) {
  training = on;
  $("train").setAttribute("aria-pressed", on);
  $("train").textContent = on ? "Stop" : "Train";
}

function train(steps) {
  ask({ rate: Number($("rate").value) || 0, steps });
}

function trained({ losses: found, error }) {
  if (error) return;
  losses.push(...found.slice(losses.length ? 1 : 0)); // the first is of before
  showCurve();
  if (!Number.isFinite(found.at(-1))) setTraining(false);
  if (training) requestAnimationFrame(() => training && train(AT_ONCE));
}

function showCurve() {
  const finite = losses.filter(Number.isFinite);
  if (losses.length < 2) return $("curve").replaceChildren();
  const top = Math.max(...finite), low = Math.min(...finite, 0);
  const points = losses.map((x, k) => `${((1000 * k) / (losses.length - 1)).toFixed(1)} ${(5 + (90 * (top - x)) / (top - low || 1)).toFixed(1)}`);
  const path = points.filter((_, k) => Number.isFinite(losses[k])).join("L");
  const line = svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": "the loss, step by step" }, svg("path", { d: `M${path}` }));
  const last = losses[losses.length - 1];
  $("curve").replaceChildren(line, html("figcaption", {}, `${losses.length - 1} steps: the loss went from ${number(losses[0])} to ${number(last)}`));
}

$("train").addEventListener("click", () => {
  setTraining(!training);
  if (training) train(AT_ONCE);
});
$("one").addEventListener("click", () => {
  setTraining(false);
  train(1);
});

// ---------------------------------------------------------------- the address

function keepAddress({ code, numbers }) {
  const state = new URLSearchParams({ preset: preset.name });
  if (code !== preset.code) {
    const own = preset.answer.numbers;
    const changed = numbers.filter((n, k) => own[k]?.name === n.name && own[k].value !== n.value);
    if (sameBut(code, numbers, preset.code, own)) for (const n of changed) state.set(n.name, n.value);
    else state.set("code", packed(code));
  }
  if ($("rate").value !== "0.1") state.set("rate", $("rate").value);
  history.replaceState(null, "", `#${state}`);
}

/** Whether two programs are the same but for the values of their numbers. */
function sameBut(code, numbers, other, others) {
  const bare = (text, found) => found.reduceRight((out, n) => `${out.slice(0, n.start)}#${out.slice(n.end)}`, text);
  return bare(code, numbers) === bare(other, others);
}

function packed(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** Show what an address says. */
function open(hash) {
  const state = new URLSearchParams(hash.slice(1));
  preset = data.presets.find(({ name }) => name === state.get("preset")) ?? data.presets[0];
  $("preset").value = preset.name;
  $("about-title").textContent = preset.title;
  $("about").textContent = preset.text;
  $("rate").value = state.get("rate") ?? "0.1";
  $("weight").replaceChildren();
  losses.length = 0;
  showCurve();
  setTraining(false);
  edits++;
  pointed = null;
  let code = preset.code;
  try {
    if (state.has("code")) code = unpacked(state.get("code"));
  } catch {
    say("The address is damaged: this is the example as it was");
  }
  $("code").value = code;
  show(preset.answer);
  showLines();
  moved = {};
  for (const { name } of preset.answer.numbers) {
    const text = state.get(name)?.trim();
    if (text && Number.isFinite(Number(text))) moved[name] = Number(text);
  }
  ask({});
}

data.presets.forEach(({ name, title }) => $("preset").append(html("option", { value: name }, title)));
$("preset").addEventListener("change", () => {
  history.pushState(null, "", `#preset=${$("preset").value}`);
  open(location.hash);
});
$("again").addEventListener("click", () => {
  history.pushState(null, "", `#preset=${preset.name}`);
  open(location.hash);
});
$("rate").addEventListener("change", () => shown.code !== undefined && keepAddress(shown));
$("share").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied: it holds the program as it stands");
  } catch {
    say("The link is the address of this page: it holds the program as it stands");
  }
});
window.addEventListener("popstate", () => open(location.hash));

open(location.hash);
start();
