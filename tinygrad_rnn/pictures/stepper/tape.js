// The tape: what the JSON says, unfolded; and how its numbers are written.

const started = performance.now();
const data = JSON.parse(document.getElementById("tape").textContent);

const MARK = "\ue000"; // stands for the number of the time step
const BEFORE = "\ue002"; // for that number less one
const INPUTS = /[\ue100-\uf000]/g; // for the inputs of an op

/** Every record: its number, its form (what it shares with those of other steps), its layer and time step. */
const records = [];
for (const [layer, t, pattern] of data.runs) {
  for (const form of data.patterns[pattern]) {
    records.push({ number: records.length, form: data.forms[form], layer, t });
  }
}

const times = [...new Set(records.map((record) => record.t))].filter((t) => t !== null).sort((a, b) => a - b);

/** The walk: first every record forwards, then backwards those that a gradient reaches, with a stop at each cut. */
const walk = records.map((record) => ({ phase: "forward", record }));
const arrival = []; // by number of a record: the place in the walk where its gradient is there; none where it never is
const gifts = data.leaves.map(() => []); // for each leaf, the places in the walk where something is added to it
const severed = new Set(); // the time steps that start with a detached state
for (let k = records.length - 1; k >= 0; k--) {
  const record = records[k];
  if (data.gradient[record.number] === null) continue;
  arrival[record.number] = walk.length;
  record.form.inputs.forEach((input, i) => {
    if ("leaf" in input) gifts[input.leaf].push({ place: walk.length, record, i });
  });
  walk.push({ phase: "backward", record });
  for (const input of record.form.inputs) {
    if (!input.back) continue; // not cut, or cut within one time step
    severed.add(record.t);
    walk.push({ phase: "cut", record, input });
  }
}

/** What uses each record: [number of the user, output of the record]. */
const users = records.map(() => []);
for (const record of records) {
  for (const input of record.form.inputs) {
    const maker = makerOf(record, input);
    if (maker) users[maker.number].push([record.number, input.output ?? 0]);
  }
}

/** How often an output is used. */
function usesOf(record, output = 0) {
  return users[record.number].filter(([, used]) => used === output).length;
}

/** The record that an input comes from; undefined for a leaf or a constant. */
function makerOf(record, input) {
  if ("near" in input) return records[record.number - input.near];
  return "record" in input ? records[input.record] : undefined;
}

// ---------------------------------------------------------------- names

/** What an output is called: h_3, or %12 where it has no name. */
function nameOf(record, output = 0) {
  const name = record.form.names[output];
  if (name) return record.t === null ? name : `${name}_${record.t}`;
  return `%${record.number}` + (record.form.names.length > 1 ? `.${output}` : "");
}

function nameOfInput(record, input) {
  const maker = makerOf(record, input);
  if (maker) return nameOf(maker, input.output);
  if ("leaf" in input) return data.leaves[input.leaf].name;
  if ("cut" in input) return input.back ? `${input.cut}_${record.t - input.back}` : input.cut;
  return "number" in input ? number(input.number) : (input.name ?? "array");
}

/** The op with its inputs: tanh(%12). */
function formula(record) {
  return record.form.text
    .replaceAll(BEFORE, record.t - 1)
    .replace(INPUTS, (c) => nameOfInput(record, record.form.inputs[c.charCodeAt(0) - 0xe100]));
}

function namesOf(record) {
  return record.form.names.map((_, output) => nameOf(record, output)).join(", ");
}

/** A time step by its number, and by its word where it has one. */
function stepName(t) {
  return t in data.words ? `t = ${t} “${data.words[t]}”` : `t = ${t}`;
}

function placeOf(record) {
  return record.t === null ? "outside the time steps" : `${data.layers[record.layer]}, ${stepName(record.t)}`;
}

// ---------------------------------------------------------------- numbers

/** Four digits, as the tape has them; a string stands for nan or infinity. */
function number(x) {
  if (typeof x === "string") return x.replace("inf", "∞").replace("-", "−");
  const size = Math.abs(x);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? x.toExponential(3).replace(/\.?0*e\+?/, "e") : `${Number(x.toPrecision(4))}`;
  return text.replaceAll("-", "−");
}

function sizeOf(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

function shapeText(shape) {
  return shape.length ? `(${shape.join(", ")})` : "a number";
}

/** The Euclidean norm of a figure: a number, a list of entries, or a norm already; null for none. */
function normOf(figure) {
  if (typeof figure === "number") return Math.abs(figure);
  if (figure === null || figure === undefined) return null;
  const entries = (Array.isArray(figure) ? figure : [figure]).map(Number.parseFloat);
  if (entries.some((x) => !Number.isFinite(x))) return NaN;
  const largest = Math.max(...entries.map(Math.abs), 0);
  return largest && largest * Math.sqrt(entries.reduce((sum, x) => sum + (x / largest) ** 2, 0));
}

/** In few words: a number as it is, anything else as its norm. */
function brief(figure, shape) {
  if (sizeOf(shape) === 1) return number(Array.isArray(figure) ? figure[0] : figure);
  const norm = normOf(figure);
  return `‖${Number.isNaN(norm) ? "not finite" : number(norm)}‖`;
}

/** The figure of one output of a record: of its value, or of its gradient (null where none arrives). */
function figureOf(kind, record, output = 0) {
  const figure = data[kind][record.number];
  return figure === null || record.form.names.length === 1 ? figure : figure[output];
}

/** What an input of a record was, constants too. */
function inputFigure(record, input, i) {
  const maker = makerOf(record, input);
  if (maker) return figureOf("value", maker, input.output);
  if ("leaf" in input) return data.leaves[input.leaf].value;
  return "number" in input ? input.number : (data.constants[record.number]?.[i] ?? null);
}

/** What the rule of a record hands to its input i: written down, or, where nothing else uses that input, its gradient. */
function partOf(record, i) {
  const input = record.form.inputs[i];
  const maker = makerOf(record, input);
  if (maker && usesOf(maker, input.output) === 1) return figureOf("gradient", maker, input.output);
  return (data.parts[record.number] || [])[i] ?? null;
}
