// Small charts, as SVG. Their classes get their colors from the style sheet.

import { set, svg } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 34;
const LEAST_POINTS = 15; // few points do not fill the width

// Lines over time. `update(series, label)`: values by class, the oldest first; `label` says it in words.
export function lines(classes) {
  const paths = Object.fromEntries(classes.map((name) => [name, svg("path", { class: name })]));
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "lines" };
  const node = svg("svg", box, ...Object.values(paths), svg("path", { class: "ground", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }));
  function update(series, label) {
    const top = Math.max(...classes.flatMap((name) => series[name]), 1e-9);
    for (const name of classes) set(paths[name], { d: path(series[name], top) });
    set(node, { "aria-label": label });
  }
  return { node, update };
}

// From the ground up and back to it, so that it can be filled. The newest value stands at the right.
function path(values, top) {
  if (!values.length) return "";
  const step = WIDTH / (Math.max(LEAST_POINTS, values.length) - 1);
  const first = WIDTH - step * (values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 4);
    return `${(first + step * index).toFixed(1)} ${y.toFixed(1)}`;
  });
  return `M${first.toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}`;
}

// A bar of parts of a whole. `update(parts, whole, label)`: sizes by class, from the left.
export function bar(classes) {
  const parts = classes.map((name) => svg("rect", { class: name, y: 0, height: 10 }));
  const ground = svg("rect", { class: "ground", width: 100, height: 10 });
  const node = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", class: "bar" }, ground, ...parts);
  function update(sizes, whole, label) {
    let x = 0;
    classes.forEach((name, index) => {
      const width = whole ? Math.min(100 - x, (100 * sizes[name]) / whole) : 0;
      set(parts[index], { x: x.toFixed(2), width: width.toFixed(2) });
      x += width;
    });
    set(node, { "aria-label": label });
  }
  return { node, update };
}
