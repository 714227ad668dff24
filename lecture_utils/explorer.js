// The explorer: five update rules walk on a landscape. All of it runs in the browser; the kernel is told only when a
// slider or the start point is let go. `landscapes` and `simulate` need no browser: the tests run them in node.

// --- the landscapes of landscapes.py: value, gradient, what to draw ------------------------------------------------

const beale = (x, y) => [[1.5, 1], [2.25, 2], [2.625, 3]].map(([c, k]) => [c - x + x * y ** k, y ** k - 1, k * x * y ** (k - 1)]);

export const landscapes = {
  ravine: { f: (x, y) => 0.5 * (x * x + 25 * y * y), grad: (x, y) => [x, 25 * y],
    minimum: [0, 0], start: [-4, 1], xlim: [-4.5, 1.5], ylim: [-1.5, 1.5] },
  Rosenbrock: { f: (x, y) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    grad: (x, y) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
    minimum: [1, 1], start: [-1.2, 1], xlim: [-1.8, 1.8], ylim: [-0.8, 2.6] },
  Beale: { f: (x, y) => beale(x, y).reduce((sum, [t]) => sum + t * t, 0),
    grad: (x, y) => beale(x, y).reduce(([gx, gy], [t, dx, dy]) => [gx + 2 * t * dx, gy + 2 * t * dy], [0, 0]),
    minimum: [3, 0.5], start: [1, 1.5], xlim: [-0.5, 4.5], ylim: [-1.5, 2.2] },
  "two wells": { f: (x, y) => (x * x - 1) ** 2 + 0.3 * x + 0.5 * y * y, grad: (x, y) => [4 * x * (x * x - 1) + 0.3, y],
    minimum: [-1.0355792, 0], start: [1.4, 0.8], xlim: [-1.7, 1.7], ylim: [-1.3, 1.3] },
  saddle: { f: (x, y) => 0.5 * x * x - 0.5 * y * y + 0.25 * y ** 4, grad: (x, y) => [x, y ** 3 - y],
    minimum: [0, 1], start: [-1.6, 0.001], xlim: [-2, 2], ylim: [-1.6, 1.6] },
};

// --- the update rules, one coordinate at a time (lecture forms) ----------------------------------------------------

const EPS = 1e-8;
const rules = {
  sgd: (g, s, p) => p.lr * g,
  momentum: (g, s, p) => (s.delta = p.alpha * s.delta + p.lr * g),
  nesterov: (g, s, p) => (s.delta = p.alpha * s.delta + p.lr * g), // its gradient is taken at the look-ahead point
  rmsprop: (g, s, p) => {
    s.r = p.beta * s.r + (1 - p.beta) * g * g;
    return (p.lr * g) / (Math.sqrt(s.r) + EPS);
  },
  adam: (g, s, p, t) => {
    s.m = p.alpha * s.m + (1 - p.alpha) * g;
    s.r = p.beta * s.r + (1 - p.beta) * g * g;
    return (p.lr * (s.m / (1 - p.alpha ** t))) / (Math.sqrt(s.r / (1 - p.beta ** t)) + EPS);
  },
};

export const methods = {
  sgd: { label: "SGD", color: "#000000", dash: "" },
  momentum: { label: "momentum", color: "#0072B2", dash: "7 3" },
  nesterov: { label: "Nesterov", color: "#007A4D", dash: "9 3 2 3" },
  rmsprop: { label: "RMSProp", color: "#AA3377", dash: "2 3" },
  adam: { label: "Adam", color: "#D55E00", dash: "" },
};

// The path [[x, y], …] of `steps` + 1 points. p: {lr, alpha, beta}; alpha is also Adam's β₁, beta its β₂.
export function simulate(name, method, start, steps, p) {
  const { grad } = landscapes[name], rule = rules[method];
  const state = [0, 1].map(() => ({ delta: 0, r: 0, m: 0 }));
  let w = [...start];
  const path = [w];
  for (let t = 1; t <= steps; t++) {
    const at = method === "nesterov" ? w.map((v, i) => v - p.alpha * state[i].delta) : w;
    const g = grad(...at);
    w = w.map((v, i) => v - rule(g[i], state[i], p, t));
    path.push(w);
  }
  return path;
}

// --- the widget ----------------------------------------------------------------------------------------------------

const WIDTH = 600, HEIGHT = 380, SVG = "http://www.w3.org/2000/svg";
const sliders = [
  { key: "lr", label: "learning rate η", min: -3, max: 0.3, step: 0.01, toValue: (s) => 10 ** s, toSlider: Math.log10 },
  { key: "alpha", label: "momentum α", min: 0, max: 0.99, step: 0.01 },
  { key: "beta", label: "mean square β", min: 0.5, max: 0.999, step: 0.001 },
  { key: "steps", label: "steps", min: 1, max: 200, step: 1 },
];
const shown = (value) => String(Number(value.toPrecision(3)));

function element(parent, tag, attributes = {}, text = "") {
  const made = tag === "svg" || parent.namespaceURI === SVG ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  parent.appendChild(made);
  return made;
}

// Bands of equal steps of the root of the height, as in figures.trajectories.
function drawContours(canvas, land) {
  const [w, h] = [canvas.width, canvas.height], values = new Float64Array(w * h);
  let low = Infinity, high = -Infinity;
  for (let j = 0; j < h; j++) for (let i = 0; i < w; i++) {
    const x = land.xlim[0] + ((i + 0.5) / w) * (land.xlim[1] - land.xlim[0]);
    const y = land.ylim[1] - ((j + 0.5) / h) * (land.ylim[1] - land.ylim[0]);
    const v = (values[j * w + i] = land.f(x, y));
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const image = new ImageData(w, h);
  values.forEach((v, k) => {
    const band = Math.floor(14 * Math.sqrt((v - low) / (high - low))) / 14;
    image.data.set([196 + 56 * band, 210 + 43 * band, 228 + 26 * band, 255], 4 * k);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function render({ model, el }) {
  const now = {};
  const keys = ["landscape", "methods", "start", ...sliders.map((s) => s.key)];
  const root = element(el, "div", { class: "explorer", role: "group", "aria-label": "Optimizer explorer" });
  // JupyterLab would take keys from here: "d d" deletes a cell. Escape still leaves the widget.
  root.addEventListener("keydown", (event) => { if (event.key !== "Escape") event.stopPropagation(); });

  const plot = element(root, "div", { class: "explorer-plot" });
  const canvas = element(plot, "canvas", { width: WIDTH / 2, height: HEIGHT / 2, "aria-hidden": "true" });
  const svg = element(plot, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const lines = Object.fromEntries(Object.entries(methods).map(([key, m]) => [key, element(svg, "polyline", {
    fill: "none", stroke: m.color, "stroke-width": 2.2, "stroke-dasharray": m.dash, "stroke-linejoin": "round" })]));
  const ends = Object.fromEntries(Object.entries(methods).map(([key, m]) =>
    [key, element(svg, "circle", { r: 4.5, fill: m.color, stroke: "white" })]));
  const star = element(svg, "text", { class: "explorer-star", "text-anchor": "middle", dy: 8 }, "★");
  const handle = element(plot, "button", { class: "explorer-start", type: "button" });

  const panel = element(root, "div", { class: "explorer-panel" });
  const place = element(element(panel, "label", {}, "landscape "), "select");
  for (const name of Object.keys(landscapes)) element(place, "option", { value: name }, name);
  const boxes = element(panel, "fieldset");
  element(boxes, "legend", {}, "methods: loss after the last step");
  const toggles = {}, losses = {};
  for (const [key, m] of Object.entries(methods)) {
    const label = element(boxes, "label");
    toggles[key] = element(label, "input", { type: "checkbox" });
    const sample = element(label, "svg", { viewBox: "0 0 34 10", class: "explorer-sample", "aria-hidden": "true" });
    element(sample, "line", { x1: 0, y1: 5, x2: 34, y2: 5, stroke: m.color, "stroke-width": 2.5, "stroke-dasharray": m.dash });
    element(label, "span", {}, `${m.label} `);
    losses[key] = element(label, "output");
  }
  const inputs = {};
  for (const s of sliders) {
    const label = element(panel, "label", { class: "explorer-slider" }, `${s.label} `);
    const out = element(label, "output");
    const input = element(label, "input", { type: "range", min: s.min, max: s.max, step: s.step, "aria-label": s.label });
    inputs[s.key] = { ...s, input, out };
  }
  const reset = element(panel, "button", { type: "button" }, "reset");
  const status = element(root, "p", { class: "explorer-status", "aria-live": "polite" });

  const toPixel = ([x, y]) => {
    const { xlim, ylim } = landscapes[now.landscape];
    // A diverging run reaches 1e300; drawing that far away would halve the frame rate.
    const clamp = (v, size) => Math.max(-2 * size, Math.min(3 * size, Number.isNaN(v) ? 3 * size : v));
    return [clamp(((x - xlim[0]) / (xlim[1] - xlim[0])) * WIDTH, WIDTH), clamp(((ylim[1] - y) / (ylim[1] - ylim[0])) * HEIGHT, HEIGHT)];
  };

  let drawn = "";
  function redraw() {
    const land = landscapes[now.landscape];
    if (drawn !== now.landscape) drawContours(canvas, land);
    drawn = now.landscape;
    place.value = now.landscape;
    for (const { key, input, out, toSlider } of Object.values(inputs)) {
      input.value = toSlider ? toSlider(now[key]) : now[key];
      out.textContent = shown(now[key]);
      input.setAttribute("aria-valuetext", shown(now[key]));
    }
    const said = [];
    for (const [key, m] of Object.entries(methods)) {
      const on = now.methods.includes(key);
      toggles[key].checked = on;
      lines[key].style.display = ends[key].style.display = on ? "" : "none";
      losses[key].textContent = "";
      if (!on) continue;
      const path = simulate(now.landscape, key, now.start, now.steps, now);
      const pixels = path.map(toPixel), last = path[path.length - 1], loss = land.f(...last);
      lines[key].setAttribute("points", pixels.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "));
      ends[key].setAttribute("cx", pixels[pixels.length - 1][0]);
      ends[key].setAttribute("cy", pixels[pixels.length - 1][1]);
      losses[key].textContent = Number.isFinite(loss) && loss < 1e6 ? loss.toPrecision(3) : "diverged";
      said.push(`${m.label} ${losses[key].textContent}`);
    }
    const [sx, sy] = toPixel(now.start), [mx, my] = toPixel(land.minimum);
    handle.style.left = `${(100 * sx) / WIDTH}%`;
    handle.style.top = `${(100 * sy) / HEIGHT}%`;
    const where = `x = ${now.start[0].toFixed(2)}, y = ${now.start[1].toFixed(2)}`;
    handle.setAttribute("aria-label", `start point ${where}; arrow keys move it`);
    star.setAttribute("x", mx);
    star.setAttribute("y", my);
    status.textContent = `Loss after ${now.steps} steps from ${where}: ${said.join(", ") || "no method chosen"}.`;
    svg.setAttribute("aria-label", `${now.landscape}. ${status.textContent}`);
  }

  // At once: browsers send at most one input event per frame, and a redraw takes far less than one.
  const change = (values) => { Object.assign(now, values); redraw(); };
  let saving = false;
  const save = () => {
    saving = true; // every set() below fires a change event; none of them may read back the traits not yet set
    for (const key of keys) model.set(key, now[key]);
    saving = false;
    model.save_changes();
  };
  const load = () => { if (!saving) { for (const key of keys) now[key] = model.get(key); redraw(); } };

  for (const { key, input, toValue } of Object.values(inputs)) {
    input.addEventListener("input", () => change({ [key]: toValue ? toValue(+input.value) : +input.value }));
    input.addEventListener("change", save);
  }
  for (const key of Object.keys(methods)) toggles[key].addEventListener("change", () => {
    change({ methods: Object.keys(methods).filter((k) => toggles[k].checked) });
    save();
  });
  place.addEventListener("change", () => { change({ landscape: place.value, start: landscapes[place.value].start }); save(); });
  const first = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
  reset.addEventListener("click", () => { change(first); save(); });

  const moveTo = (x, y) => {
    const { xlim, ylim } = landscapes[now.landscape];
    change({ start: [Math.max(xlim[0], Math.min(xlim[1], x)), Math.max(ylim[0], Math.min(ylim[1], y))] });
  };
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = plot.getBoundingClientRect(), { xlim, ylim } = landscapes[now.landscape];
    moveTo(xlim[0] + ((event.clientX - box.left) / box.width) * (xlim[1] - xlim[0]),
      ylim[1] - ((event.clientY - box.top) / box.height) * (ylim[1] - ylim[0]));
  });
  handle.addEventListener("pointerup", save);
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const { xlim, ylim } = landscapes[now.landscape], size = event.shiftKey ? 0.1 : 0.02;
    moveTo(now.start[0] + by[0] * size * (xlim[1] - xlim[0]), now.start[1] + by[1] * size * (ylim[1] - ylim[0]));
  });
  handle.addEventListener("keyup", (event) => { if (event.key.startsWith("Arrow")) save(); });

  for (const key of keys) model.on(`change:${key}`, load);
  load();
}

export default { render };
