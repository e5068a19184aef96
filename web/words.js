// How are numbers and plans told to a person?

const SAMPLERS = {
  ddim: "DDIM",
  dpmpp_2m: "DPM-Solver++ 2M",
  euler: "Euler",
  euler_ancestral: "Euler ancestral",
  ddpm: "DDPM",
  lcm: "LCM",
};

export const samplerName = (sampler) => SAMPLERS[sampler] ?? sampler;

/** So many significant digits, without an exponent and without zeros that say nothing. */
export const digits = (value, count) => Number(value.toPrecision(count)).toString();

/** A span, in ms below a second and in seconds from there on. */
export function span(ms) {
  if (ms === null || ms === undefined) return "unknown";
  if (ms >= 1000) return `${digits(ms / 1000, 3)} s`;
  return `${ms < 10 ? digits(ms, 2) : Math.round(ms)} ms`;
}

export const work = (tflops) => `${digits(tflops, 3)} TFLOP`;

/** A predicted score with its standard error. */
export const score = (estimate) =>
  estimate ? `${estimate.mean.toFixed(3)} ± ${estimate.standard_error.toFixed(3)}` : "not measured";

export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

const percent = (share) => `${Math.round(share * 100)}%`;

/** What a plan does, part by part, without its model. */
export function planParts(plan) {
  const parts = [count(plan.steps, "step"), samplerName(plan.sampler)];
  parts.push(plan.guidance_scale === 1 ? "unguided" : `guidance ${digits(plan.guidance_scale, 3)}`);
  for (const stage of plan.stages ?? []) parts.push(`first ${percent(stage.share)} by ${stage.model}`);
  if (plan.guidance_interval) parts.push(intervalWords(plan.guidance_interval));
  if (plan.candidates) parts.push(`best of ${plan.candidates.n}`);
  return parts;
}

function intervalWords({ sigma_low: low, sigma_high: high }) {
  if (high === null || high === undefined) return `guided above σ ${digits(low, 3)}`;
  return low > 0 ? `guided from σ ${digits(low, 3)} to ${digits(high, 3)}` : `guided below σ ${digits(high, 3)}`;
}

/** A whole plan in a line. */
export const planLine = (plan) => [plan.model, ...planParts(plan)].join(", ");
