// What do the server's metrics say about its load? Prometheus' text format, read in the page.

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Sample */

/** @returns {Sample[]} */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name)
      samples.push({ name: name.replace("goldilocks_", ""), labels: labelsOf(labels ?? ""), value: Number(value) });
  }
  return samples;
}

const labelsOf = (text) =>
  Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));

/** The numbers that the load strip is made of; counters are totals since the server began. */
export function loadOf(/** @type {Sample[]} */ samples) {
  const sum = (name, fits = () => true) =>
    samples.filter((sample) => sample.name === name && fits(sample.labels)).reduce((all, { value }) => all + value, 0);
  return {
    isReady: sum("ready") === 1,
    queuedSeconds: sum("queued_work_seconds"),
    // The scrape itself is one of them.
    inFlight: Math.max(sum("requests_in_flight") - 1, 0),
    attained: sum("budgets_total", ({ result }) => result === "attained"),
    // What was infeasible was never promised.
    granted: sum("budgets_total", ({ result }) => result !== "infeasible"),
    evaluations: sum("batch_pictures_count"),
    rows: sum("batch_pictures_sum"),
    capacity: sum("batch_capacity_rows"),
  };
}

/** Attainment and batch size between two looks at the counters; null where nothing happened. */
export function between(before, now) {
  const granted = now.granted - before.granted;
  const evaluations = now.evaluations - before.evaluations;
  return {
    attainment: granted > 0 ? (now.attained - before.attained) / granted : null,
    batch: evaluations > 0 ? (now.rows - before.rows) / evaluations : null,
  };
}
