// What does each budget buy, as a picture? The frontier in SVG: score against cost, every model's curve, the chosen plan.

import { draw, make } from "./dom.js";
import { ticks } from "./scale.js";
import { planLine, score, span, work } from "./words.js";

const HEIGHT = 236;
const LABEL_WIDTH = 48;
/** Room for labels around the curves; sliders below keep the same sides. */
export const MARGIN = { top: 12, right: 12, bottom: 26, left: 34 };

export const costOf = (estimate, axis) => (axis === "latency" ? estimate.latency_ms?.p99 : estimate.tflops);
export const costWords = (cost, axis) => (axis === "latency" ? span(cost) : work(cost));

/**
 * Draws into `place`, whose width it fills.
 * @param {HTMLElement} place
 * @param {{frontier: any, axis: "latency" | "tflops", scale: any, limit: number | null, chosen: any, note: string | null, onPick: (cost: number) => void}} what
 */
export function plot(place, what) {
  const width = Math.max(place.clientWidth, 240);
  const view = viewOf(width, what);
  const previous = place.querySelector(".dot");
  const from = previous?.getAttribute("transform");
  const dot = chosenDot(view, what);
  const svg = draw(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": summary(what) },
    grid(view, what),
    affordable(view, what),
    ...what.frontier.models.map((model) => curveOf(view, what, model.curve, "model")),
    curveOf(view, what, what.frontier.curve, "best"),
    ...what.frontier.curve.map((entry) => stop(view, what, entry)),
    dot,
  );
  svg.addEventListener("click", (event) => pick(svg, view, what, event));
  place.replaceChildren(legend(what), svg);
  glide(dot, from);
}

function viewOf(width, { frontier, scale }) {
  const scores = [frontier, ...frontier.models]
    .flatMap(({ curve }) => curve)
    .map(({ estimate }) => estimate.score?.mean ?? 0);
  const low = Math.floor(Math.min(...scores, 0.9) * 10) / 10;
  const high = Math.ceil(Math.max(...scores, 0.1) * 10) / 10;
  const inner = width - MARGIN.left - MARGIN.right;
  return {
    width,
    inner,
    low,
    high,
    scale,
    x: (cost) => MARGIN.left + Math.min(Math.max(scale.at(cost), 0), 1) * inner,
    y: (value) => MARGIN.top + ((high - value) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom),
    cost: (x) => scale.value((x - MARGIN.left) / inner),
  };
}

function grid(view, { axis }) {
  const group = draw("g", { class: "grid" });
  const nRows = Math.round((view.high - view.low) * 10);
  const every = nRows > 5 ? 2 : 1;
  for (let row = 0; row <= nRows; row += every) {
    const value = view.low + row / 10;
    group.append(
      draw("line", { x1: MARGIN.left, x2: view.width - MARGIN.right, y1: view.y(value), y2: view.y(value) }),
      draw("text", { x: MARGIN.left - 8, y: view.y(value) + 4, "text-anchor": "end" }, value.toFixed(1)),
    );
  }
  for (const tick of ticks(view.scale, LABEL_WIDTH / view.inner)) {
    group.append(
      draw("text", { x: view.x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, axis === "latency" ? span(tick) : tick),
    );
  }
  return group;
}

/** What lies within the limit. */
function affordable(view, { limit }) {
  if (!(limit > 0)) return draw("g");
  const x = view.x(limit);
  const [top, height] = [MARGIN.top, HEIGHT - MARGIN.top - MARGIN.bottom];
  return draw(
    "g",
    { class: "limit-line" },
    draw("rect", { x: MARGIN.left, y: top, width: Math.max(x - MARGIN.left, 0), height }),
    draw("line", { x1: x, x2: x, y1: top, y2: top + height }),
  );
}

function curveOf(view, { axis }, curve, kind) {
  const points = curve
    .filter(({ estimate }) => estimate.score)
    .map(({ estimate }) => `${view.x(costOf(estimate, axis)).toFixed(1)},${view.y(estimate.score.mean).toFixed(1)}`);
  return draw("polyline", { class: `curve ${kind}`, points: points.join(" ") });
}

function stop(view, { axis }, { plan, estimate }) {
  if (!estimate.score) return draw("g");
  const label = `${planLine(plan)}: ${score(estimate.score)} for ${costWords(costOf(estimate, axis), axis)}`;
  return draw(
    "circle",
    { class: "stop", r: 3.5, cx: view.x(costOf(estimate, axis)), cy: view.y(estimate.score.mean) },
    draw("title", {}, label),
  );
}

function chosenDot(view, { axis, chosen }) {
  const cost = chosen && costOf(chosen.estimate, axis);
  if (!cost || !chosen.estimate.score) return draw("g", { class: "dot", hidden: "" });
  const place = `translate(${view.x(cost).toFixed(1)} ${view.y(chosen.estimate.score.mean).toFixed(1)})`;
  return draw(
    "g",
    { class: "dot", transform: place },
    draw("circle", { r: 11, class: "halo" }),
    draw("circle", { r: 6.5 }),
  );
}

/** Moves the dot along from where it was, unless the person prefers stillness. */
function glide(dot, from) {
  const to = dot.getAttribute("transform");
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!from || !to || from === to || isStill) return;
  const css = (place) => place.replace(/translate\((\S+) (\S+)\)/, "translate($1px, $2px)");
  dot.animate([{ transform: css(from) }, { transform: css(to) }], { duration: 220, easing: "ease-out" });
}

/** A click takes the limit to where it was made. */
function pick(svg, view, { onPick, scale }, event) {
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * view.width;
  onPick(Math.min(Math.max(view.cost(x), scale.low), scale.high));
}

function legend({ chosen, note }) {
  const entry = (kind, words) => make("span", {}, make("i", { className: kind }), words);
  return make(
    "p",
    { className: "legend", ariaHidden: "true" },
    entry("line-best", "frontier"),
    entry("line-model", "each model"),
    chosen && entry("dot-chosen", "this request"),
    note,
  );
}

function summary({ frontier, axis, chosen }) {
  const { curve } = frontier;
  if (curve.length === 0) return "No plan of this family was measured";
  const tell = ({ plan, estimate }) =>
    `${planLine(plan)} with ${score(estimate.score)} for ${costWords(costOf(estimate, axis), axis)}`;
  const now = chosen?.estimate.score ? ` Now: ${tell(chosen)}.` : "";
  return `Predicted score against ${axis === "latency" ? "time" : "compute"}. From ${tell(curve[0])} to ${tell(curve.at(-1))}.${now}`;
}

/** The same for those who would rather read. */
export function frontierTable({ curve }) {
  const row = ({ plan, estimate }) =>
    make(
      "tr",
      {},
      make("td", {}, planLine(plan)),
      make("td", {}, score(estimate.score)),
      make("td", {}, span(estimate.latency_ms?.p99)),
      make("td", {}, work(estimate.tflops)),
    );
  const head = ["plan", "score", "p99", "compute"].map((name) => make("th", { scope: "col" }, name));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...curve.map(row)));
}
