// Which request do the settings of the form mean? Pure, so that requests, plans and snippets agree.

/**
 * What the form says. Empty texts and nulls mean that nothing was said.
 * @typedef {object} Ask
 * @property {string} prompt
 * @property {"auto" | "time" | "compute" | "both" | "named"} mode
 * @property {number | null} latencyMs
 * @property {number | null} tflops
 * @property {string} quality
 * @property {Record<string, string | number | null>} pins fields of the request as they are sent, model to format
 * @property {Record<string, string | number | null>} terms fields of the budget besides its limits
 */

/** Which limits a kind of budget has. */
export const hasTime = (mode) => mode === "time" || mode === "both";
export const hasCompute = (mode) => mode === "compute" || mode === "both";

/** The body of `POST /v1/images/generations` and of `POST /v1/plan`. */
export function bodyOf(/** @type {Ask} */ ask) {
  const budget = said({
    latency_ms: hasTime(ask.mode) ? ask.latencyMs : null,
    tflops: hasCompute(ask.mode) ? ask.tflops : null,
    ...ask.terms,
  });
  return said({
    prompt: ask.prompt,
    ...ask.pins,
    quality: qualityOf(ask, budget),
    budget: Object.keys(budget).length > 0 ? budget : null,
  });
}

/** A budget without limits would be used in full, so `auto` has to be said beside other terms. */
function qualityOf(ask, budget) {
  if (ask.mode === "named") return ask.quality;
  const isDual = budget.minimize !== undefined;
  return ask.mode === "auto" && !isDual && Object.keys(budget).length > 0 ? "auto" : null;
}

/** The request that draws a picture of the past once more: its plan to the letter, its seed. */
export function replayOf(body, reply) {
  const { prompt, negative_prompt, n, output_format } = body;
  return said({ prompt, negative_prompt, n, output_format, seed: reply.seed, plan_token: reply.planToken });
}

/** Without the fields that say nothing. */
export const said = (fields) =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  );
