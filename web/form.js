// What has the person set? The controls of the form, read as an `Ask`, kept for a reload, and set by the page's own offers.

import { byId } from "./dom.js";
import { hasCompute, hasTime } from "./request.js";
import { POSITIONS, readable } from "./scale.js";

const KEPT = "goldilocks.form";
const FIELDS = [
  "prompt",
  "quality",
  "latency-number",
  "tflops-number",
  "seed",
  "n",
  "negative",
  "model",
  "size",
  "steps",
  "sampler",
  "guidance",
  "objective",
  "min-score",
  "minimize",
  "on-late",
  "format",
];
const ADVANCED = FIELDS.slice(FIELDS.indexOf("seed"));

/** Which control a field of the API is set by. */
const CONTROLS = {
  prompt: "prompt",
  negative_prompt: "negative",
  seed: "seed",
  n: "n",
  model: "model",
  size: "size",
  sampler: "sampler",
  num_inference_steps: "steps",
  guidance_scale: "guidance",
  output_format: "format",
  quality: "quality",
  "budget.latency_ms": "latency-number",
  "budget.tflops": "tflops-number",
  "budget.objective": "objective",
  "budget.min_score": "min-score",
  "budget.minimize": "minimize",
  "budget.on_late": "on-late",
};

/** Limits, their control and the axis of the plot that they lie on. */
export const LIMITS = { latency: "latency-number", tflops: "tflops-number" };

const text = (id) => byId(id).value.trim();
const number = (id) => (text(id) === "" ? null : Number(text(id)));
/** A number as such, anything else as it is, for the server to say what is wrong with it. */
const numberOrText = (id) => (/^\d+$/.test(text(id)) ? Number(text(id)) : text(id));

export const mode = () => document.querySelector('input[name="mode"]:checked').value;

/** @returns {import("./request.js").Ask} */
export function readForm() {
  return {
    prompt: text("prompt"),
    mode: /** @type {any} */ (mode()),
    latencyMs: number("latency-number"),
    tflops: number("tflops-number"),
    quality: text("quality"),
    pins: {
      negative_prompt: text("negative"),
      model: text("model") === "auto" ? null : text("model"),
      n: number("n") === 1 ? null : number("n"),
      size: text("size") === "auto" ? null : text("size"),
      num_inference_steps: number("steps"),
      sampler: text("sampler"),
      guidance_scale: number("guidance"),
      seed: numberOrText("seed"),
      output_format: text("format") === "png" ? null : text("format"),
    },
    terms: {
      objective: text("objective"),
      min_score: number("min-score"),
      minimize: text("minimize"),
      on_late: text("on-late"),
    },
  };
}

/** Calls `changed` after any change, with sliders, numbers and what is shown in step. */
export function watchForm(changed) {
  const form = byId("ask");
  form.addEventListener("input", (event) => {
    follow(event.target);
    keep();
    changed(event.target);
  });
  byId("reset").addEventListener("click", () => {
    for (const id of ADVANCED) setBack(byId(id));
    touched(byId("seed"));
  });
  showMode();
}

function setBack(control) {
  if (control instanceof HTMLSelectElement) control.selectedIndex = 0;
  else control.value = control.defaultValue;
}

function follow(control) {
  if (control.name === "mode") showMode();
  for (const [axis, numberId] of Object.entries(LIMITS)) {
    if (control.id === numberId) showLimit(axis);
    if (control.id !== axis || !scales[axis]) continue;
    byId(numberId).value = String(readable(scales[axis].value(control.value / POSITIONS)));
    // The slider stays where it was put: back at the rounded number, small steps would lead nowhere.
    tellLimit(axis);
  }
}

function showMode() {
  byId("mode-auto").hidden = mode() !== "auto";
  byId("mode-named").hidden = mode() !== "named";
  byId("mode-time").hidden = !hasTime(mode());
  byId("mode-compute").hidden = !hasCompute(mode());
}

/** @type {Record<string, ReturnType<typeof import("./scale.js").logScale>>} */
const scales = {};

/** Gives a limit its range, and a value in it if it has none. */
export function setScale(axis, scale, initial) {
  scales[axis] = scale;
  const control = byId(LIMITS[axis]);
  if (control.value === "") control.value = String(readable(initial));
  showLimit(axis);
}

/** Puts a slider where its number is. */
function showLimit(axis) {
  const value = number(LIMITS[axis]);
  const share = scales[axis] && value > 0 ? scales[axis].at(value) : 0;
  byId(axis).value = String(Math.round(share * POSITIONS));
  tellLimit(axis);
}

function tellLimit(axis) {
  const unit = axis === "latency" ? "milliseconds" : "TFLOP";
  byId(axis).setAttribute("aria-valuetext", `${number(LIMITS[axis]) ?? "no"} ${unit}`);
}

/** Sets a control as if the person had. */
export function set(id, value) {
  byId(id).value = String(value);
  touched(byId(id));
}

export function setMode(wanted) {
  const radio = document.querySelector(`input[name="mode"][value="${wanted}"]`);
  radio.checked = true;
  touched(radio);
}

const touched = (control) => control.dispatchEvent(new Event("input", { bubbles: true }));

/** Takes the person to the control of a field that the server objects to; false if there is none. */
export const controlOf = (param) => CONTROLS[param] ?? null;

export function goTo(id) {
  const control = byId(id);
  if (byId("advanced").contains(control)) byId("advanced").open = true;
  control.focus();
}

function keep() {
  const values = Object.fromEntries(FIELDS.map((id) => [id, byId(id).value]));
  sessionStorage.setItem(KEPT, JSON.stringify({ ...values, mode: mode() }));
}

/** What was set before a reload of this tab; call it when lists have their options. */
export function recall() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!kept) return;
  for (const id of FIELDS) {
    const control = byId(id);
    const before = control.value;
    control.value = kept[id] ?? before;
    // A select whose list no longer has the value would show nothing.
    if (control.value === "" && control instanceof HTMLSelectElement) control.value = before;
  }
  byId("advanced").open = ADVANCED.some((id) => byId(id).value !== defaultOf(byId(id)));
  setMode(kept.mode ?? "time");
  for (const axis of Object.keys(LIMITS)) showLimit(axis);
}

const defaultOf = (control) => (control instanceof HTMLSelectElement ? control.options[0].value : control.defaultValue);
