// Elements of HTML and SVG with attributes and children. Text is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function html(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** x, kept between two limits; their middle where there is no room between them. */
function within(x, low, high) {
  return high < low ? (low + high) / 2 : Math.min(Math.max(x, low), high);
}
