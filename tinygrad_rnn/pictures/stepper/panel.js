// The panel beside the picture: the op, where it was written, its values, and the chain rule with numbers.

const WIDEST = 6; // entries of a row that stand in a line; more are wrapped
const FOLDED = 12; // entries of an input; more are folded
const LISTED = 16; // inputs beyond so many are counted, not listed
const ROWS = 6; // of a chain rule written out; further ones are folded
const TERMS = 6; // of a row of it, likewise

function showPanel(place) {
  const { record, phase, input } = walk[place];
  const { form } = record, op = data.ops[form.op];
  const parts = [
    html("h2", {}, `${namesOf(record)} = ${formula(record)}`),
    html("p", { class: "where" }, `record ${record.number} · ${placeOf(record)} · ${form.shapes.map(shapeText).join(" ")} ${form.dtype}`),
  ];
  if (op.about) parts.push(html("p", { class: "about" }, `${op.name}: ${op.about}`));
  parts.push(linesOf(form));
  if (phase === "forward") parts.push(...forwardParts(record));
  else parts.push(...(phase === "cut" ? cutParts(record, input) : []), ...backwardParts(record, place));
  if (phase !== "forward") parts.push(gathered(place));
  document.getElementById("panel").replaceChildren(...parts);
}

/** The line of the user's program that made it, if it was noted, and the line of the layer that it led to. */
function linesOf(form) {
  const [users, layers] = data.lines[form.line] ?? [null, null];
  const cure = html("p", { class: "quiet" }, "Your line that made it is noted if you compute within ", html("code", {}, "with tg.anomaly():"));
  return html("div", { class: "lines" }, users ? codeLine(users) : cure, layers ? codeLine(layers) : "");
}

function codeLine({ where, code }) {
  return html("p", { class: "line" }, html("span", { class: "quiet" }, where), " ", html("code", {}, code));
}

// ---------------------------------------------------------------- forwards

function forwardParts(record) {
  const rows = listed(record.form.inputs).map((input, i) => inputRow(record, input, i));
  const result = record.form.shapes.map((shape, k) =>
    html("div", { class: "result" }, html("b", {}, nameOf(record, k)), " = ", valueOf(figureOf("value", record, k), shape)));
  return [html("h3", {}, "Inputs"), html("table", { class: "inputs" }, ...rows), more(record.form.inputs),
          html("h3", {}, "Result"), ...result, equation(record)];
}

function inputRow(record, input, i) {
  const maker = makerOf(record, input);
  const shape = maker ? maker.form.shapes[input.output ?? 0] : (input.shape ?? []);
  const note = "cut" in input ? "detached" : maker || "leaf" in input || "number" in input ? "" : "needs no gradient";
  return html("tr", {}, html("th", { scope: "row" }, linkTo(record, input)), html("td", {}, shapeText(shape)),
              html("td", {}, folded(inputFigure(record, input, i), shape)), html("td", { class: "quiet" }, note));
}

/** The entries, behind their norm where they are many. */
function folded(figure, shape) {
  if (!Array.isArray(figure) || figure.length <= FOLDED) return valueOf(figure, shape);
  const summary = html("summary", {}, `${brief(figure, shape)}, ${figure.length} entries`);
  return html("details", { class: "terms" }, summary, valueOf(figure, shape));
}

/** The op with the numbers in the places of their names: 0.6 × 0.5 = 0.3; nothing where they are no single numbers. */
function equation(record) {
  const { inputs, text, shapes } = record.form;
  const figures = inputs.map((input, i) => inputFigure(record, input, i));
  if (shapes.length > 1 || sizeOf(shapes[0]) > 1 || figures.some((figure) => Array.isArray(figure) || figure === null)) return "";
  if (inputs.some((input) => input.shape && sizeOf(input.shape) > 1)) return "";
  const filled = text.replaceAll(BEFORE, record.t - 1).replace(INPUTS, (c) => signed(figures[c.charCodeAt(0) - 0xe100]));
  return html("p", { class: "equation" }, `${filled} = ${brief(figureOf("value", record), shapes[0])}`);
}

/** The name of an input, to click where a record stands behind it. */
function linkTo(record, input) {
  const maker = makerOf(record, input), name = nameOfInput(record, input);
  if (!maker) return name;
  const button = html("button", { class: "link", title: `Go to record ${maker.number}` }, name);
  button.addEventListener("click", () => goToRecord(maker.number));
  return button;
}

/** All the entries of a small tensor, row by row; else the norm. */
function valueOf(figure, shape) {
  if (!Array.isArray(figure)) return brief(figure, shape);
  const width = shape[shape.length - 1] ?? 1, rows = [];
  if (width > WIDEST) return html("span", { class: "entries long" }, ...figure.map((x) => html("span", {}, number(x))));
  for (let k = 0; k < figure.length; k += width) {
    rows.push(html("tr", {}, ...figure.slice(k, k + width).map((x) => html("td", {}, number(x)))));
  }
  return html("table", { class: "entries" }, ...rows);
}

function listed(inputs) {
  return inputs.length > LISTED ? inputs.slice(0, LISTED) : inputs;
}

function more(inputs) {
  return inputs.length > LISTED ? html("p", { class: "quiet" }, `and ${inputs.length - LISTED} more`) : "";
}

// ---------------------------------------------------------------- backwards

function cutParts(record, input) {
  const t = record.t - input.back;
  return [html("p", { class: "stopped" }, `✂ The gradient stops here: detach. ${input.cut}_${t} is used as a constant: `
    + `its value came from step ${t}, but nothing before it gets a gradient through it.`)];
}

function backwardParts(record, place) {
  const { form } = record;
  const arrived = form.shapes.map((shape, k) =>
    html("div", { class: "incoming" }, html("b", {}, `∂L/∂${nameOf(record, k)}`), " = ", valueOf(figureOf("gradient", record, k), shape)));
  const why = record.number === records.length - 1 ? "the walk starts with ∂L/∂L = 1" : cameFrom(record);
  const pieces = listed(form.inputs).map((input, i) => handedTo(record, input, i, place));
  return [html("h3", {}, "Gradient that arrives"), ...arrived, html("p", { class: "quiet" }, why),
          html("h3", {}, "times local derivative = gradient handed on"), ...pieces, more(form.inputs), rulesOf(record)];
}

function cameFrom(record) {
  const from = [...new Set(users[record.number].map(([number]) => number))].filter((number) => arrival[number] !== undefined);
  const names = from.slice(0, 4).map((number) => namesOf(records[number])).join(", ");
  const others = from.length > 4 ? ` and ${from.length - 4} more` : "";
  return `from ${names}${others}` + (from.length > 1 ? ", added up" : "");
}

/** incoming x local = outgoing for one input, and what becomes of it. */
function handedTo(record, input, i, place) {
  const maker = makerOf(record, input);
  const name = html("b", {}, "to ", linkTo(record, input));
  if (!maker && !("leaf" in input)) {
    const why = "cut" in input ? "✂ detached: the gradient stops here" : "a constant: needs no gradient";
    return html("div", { class: `handed none ${"cut" in input ? "severed" : ""}` }, name, " ", html("span", {}, why));
  }
  const part = partOf(record, i);
  const shape = maker ? maker.form.shapes[input.output ?? 0] : data.leaves[input.leaf].shape;
  if (part === null) return html("div", { class: "handed none" }, name, " the rule hands nothing on");
  return html("div", { class: "handed" }, name, chain(record, i, part, shape), becomes(record, input, i, maker, place));
}

/** The chain rule: entry by entry where the tensors are small, else with norms and the gain between them. */
function chain(record, i, part, shape) {
  const local = data.local[record.number]?.[i];
  const incoming = gradientEntries(record);
  if (!local || !incoming) return gain(record, part, shape);
  const out = Array.isArray(part) ? part : [part];
  const rows = out.map((x, j) =>
    html("tr", {}, html("th", { scope: "row" }, shape.length ? `[${indexOf(j, shape)}]` : ""),
         html("td", {}, ...terms(incoming, local, j, out.length)), html("td", { class: "outgoing" }, `= ${number(x)}`)));
  const table = html("table", { class: "chain" }, ...rows.slice(0, ROWS));
  if (rows.length <= ROWS + 2) {
    table.append(...rows.slice(ROWS));
    return table;
  }
  const others = html("details", {}, html("summary", {}, `${rows.length - ROWS} more entries`),
                      html("table", { class: "chain" }, ...rows.slice(ROWS)));
  return html("div", {}, table, others);
}

function gain(record, part, shape) {
  const incoming = normOf(record.form.names.map((_, k) => normOf(figureOf("gradient", record, k))));
  const outgoing = normOf(part), factor = incoming > 0 ? outgoing / incoming : NaN;
  const between = Number.isFinite(factor) ? `× ${number(Number(factor.toPrecision(3)))}` : "through the rule";
  return html("p", { class: "gain" }, `‖${number(Number(incoming.toPrecision(4)))}‖ ${between} = `, html("span", { class: "outgoing" }, brief(part, shape)));
}

/** The gradient of a small result, all outputs in a row; null where it is not written out. */
function gradientEntries(record) {
  const found = record.form.names.map((_, k) => figureOf("gradient", record, k));
  const written = found.every((figure, k) => Array.isArray(figure) || sizeOf(record.form.shapes[k]) === 1);
  return written ? found.flat() : null;
}

/** The sum over i of g_i times dy_i/dx_j, without the terms that are zero; further ones folded. */
function terms(incoming, local, j, count) {
  if (local.length === count && incoming.length === count) return [`${number(incoming[j])} × ${signed(local[j])}`];
  const found = incoming.map((g, i) => [g, local[i * count + j]]).filter(([, d]) => d !== 0);
  if (!found.length) return ["0"];
  const texts = found.map(([g, d]) => `${number(g)} × ${signed(d)}`);
  if (texts.length <= TERMS) return [texts.join(" + ")];
  const summary = html("summary", {}, `${texts.slice(0, TERMS - 1).join(" + ")} + … (${texts.length} terms)`);
  return [html("details", { class: "terms" }, summary, `+ ${texts.slice(TERMS - 1).join(" + ")}`)];
}

function signed(x) {
  return Number.parseFloat(x) < 0 ? `(${number(x)})` : number(x);
}

function indexOf(j, shape) {
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(j % shape[axis]);
    j = Math.floor(j / shape[axis]);
  }
  return index.join(",");
}

/** Where the gradient handed on goes: into the sum of a weight, or to a record that waits for the others. */
function becomes(record, input, i, maker, place) {
  if ("leaf" in input) {
    const leaf = data.leaves[input.leaf], all = gifts[input.leaf];
    const k = all.findIndex((gift) => gift.record === record && gift.i === i) + 1;
    return html("p", { class: "into" }, `added to ∂L/∂${leaf.name}: ${k} of ${all.length}, the sum so far is ${brief(leaf.totals[k - 1], leaf.shape)}`);
  }
  const uses = usesOf(maker, input.output);
  if (uses === 1) return "";
  const still = users[maker.number].filter(([number]) => arrival[number] > place).length;
  return html("p", { class: "into" }, `${nameOf(maker, input.output)} is used ${uses} times` + (still ? `; ${still} more to come` : "; this was the last, the sum is complete"));
}

function rulesOf(record) {
  const { rules } = data.ops[record.form.op];
  const code = rules.filter(Boolean).join("\n\n");
  if (!code) return "";
  return html("details", {}, html("summary", {}, "The rule, as the library has it"), html("pre", {}, code));
}

/** The gradients of the weights as they stand at this place of the walk. */
function gathered(place) {
  const rows = data.leaves.map((leaf, k) => {
    const count = gifts[k].filter((gift) => gift.place <= place).length;
    const sum = count ? brief(leaf.totals[count - 1], leaf.shape) : "0";
    return html("tr", { class: count && gifts[k][count - 1].place === place ? "now" : "" },
                html("th", { scope: "row" }, leaf.name), html("td", {}, shapeText(leaf.shape)),
                html("td", {}, sum), html("td", {}, `${count} of ${gifts[k].length}`));
  });
  const head = html("tr", {}, ...["", "shape", "∂L/∂ so far", "times"].map((word) => html("th", { scope: "col" }, word)));
  return html("div", {}, html("h3", {}, "Gathered so far"), html("table", { class: "gathered" }, head, ...rows));
}
