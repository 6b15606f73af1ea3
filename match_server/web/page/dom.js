// Elements. Text is only ever set as text: whatever players and servers call themselves, it is never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(node, attributes, children) {
  set(node, attributes ?? {});
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// `onclick` and the like are listeners; null and false take an attribute away.
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
  }
}

// Changes the text only where it differs, so that a screen reader hears nothing twice and a selection stays.
export function say(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

const ROWS = new WeakMap();

// One row for each item, in their order. A row stays the same element for as long as its item is there, and keeps the
// focus. `make(item)` returns `{node, update(item)}`.
export function rows(parent, items, keyOf, make) {
  const before = ROWS.get(parent) ?? new Map();
  const now = new Map();
  for (const item of items) {
    const key = keyOf(item);
    now.set(key, before.get(key) ?? make(item));
  }
  for (const [key, row] of before) if (!now.has(key)) row.node.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const row = now.get(keyOf(item));
    if (row.node === place) place = place.nextElementSibling;
    else parent.insertBefore(row.node, place);
    row.update(item);
  }
  ROWS.set(parent, now);
}
