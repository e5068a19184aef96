// Do the page's pure parts read what servers write, split anywhere?

import { expect, test } from "./playground.js";

// A server of this file's own: what others asked for changes what plans a server grants.
test.use({ launch: {} });

/** Does one of the `acts` below with a module of the page, in the page. */
const within = (page, file, act, argument) =>
  page.evaluate(
    async ([name, what, given]) => window.acts[what](await import(`/playground/${name}`), given),
    [file, act, argument],
  );

test.beforeEach(async ({ page, server }) => {
  await page.goto(server.url);
  await page.evaluate(() => {
    window.acts = {
      events: async ({ readEvents }, chunks) => {
        const body = new ReadableStream({
          start(controller) {
            for (const chunk of chunks) controller.enqueue(new Uint8Array(chunk));
            controller.close();
          },
        });
        const seen = [];
        for await (const event of readEvents(body)) seen.push(event);
        return seen;
      },
      load: ({ parse, loadOf }, text) => loadOf(parse(text)),
      between: ({ between }, [before, now]) => between(before, now),
      python: ({ python }, body) => python(body, { base: "http://here", hasKey: false }),
      replace: ({ replaceWord }, [prompt, word, meant]) => replaceWord(prompt, word, meant),
      body: ({ bodyOf }, ask) => bodyOf(ask),
      above: ({ readableAbove }, values) => values.map(readableAbove),
    };
  });
});

test("events are whole wherever the network cut them", async ({ page }) => {
  const text = ':keep-alive\n\nevent: a\ndata: {"snow":"❄"}\n\ndata: one\r\ndata: two\r\n\r\nevent: cut';
  const bytes = [...new TextEncoder().encode(text)];
  const wanted = [
    { event: "a", data: '{"snow":"❄"}' },
    { event: "message", data: "one\ntwo" },
  ];
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const chunks = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    expect(await within(page, "sse.js", "events", chunks), `chunks of ${size}`).toEqual(wanted);
  }
});

test("metrics are summed over their labels", async ({ page }) => {
  const text = [
    "# HELP goldilocks_ready x",
    "goldilocks_ready 1",
    "goldilocks_requests_in_flight 3",
    "goldilocks_queued_work_seconds 1.5e-1",
    'goldilocks_budgets_total{class="1s",kind="latency",result="attained"} 8',
    'goldilocks_budgets_total{class="1s",kind="latency",result="missed"} 2',
    'goldilocks_budgets_total{class="1s",kind="latency",result="infeasible"} 5',
    "goldilocks_batch_capacity_rows 64",
    'goldilocks_batch_pictures_sum{model="a"} 6',
    'goldilocks_batch_pictures_count{model="a"} 3',
  ].join("\n");
  const load = await within(page, "metrics.js", "load", text);
  expect(load).toEqual({
    isReady: true,
    queuedSeconds: 0.15,
    inFlight: 2,
    attained: 8,
    granted: 10,
    evaluations: 3,
    rows: 6,
    capacity: 64,
  });
  const later = { ...load, attained: 9, granted: 12, evaluations: 5, rows: 12 };
  expect(await within(page, "metrics.js", "between", [load, later])).toEqual({ attainment: 0.5, batch: 3 });
  expect(await within(page, "metrics.js", "between", [load, load])).toEqual({ attainment: null, batch: null });
});

test("a snippet says in Python what the request says in JSON", async ({ page }) => {
  const text = await within(page, "snippets.js", "python", {
    prompt: 'it\'s "so"',
    n: 2,
    seed: 7,
    budget: { latency_ms: 80, on: true },
  });
  expect(text).toContain(
    '    prompt="it\'s \\"so\\"",\n    n=2,\n    extra_body={"seed": 7, "budget": {"latency_ms": 80, "on": True}},',
  );
});

test("words are replaced whole and everywhere", async ({ page }) => {
  expect(await within(page, "remedies.js", "replace", ["Cta, cta and ctas", "cta", "cat"])).toBe("cat, cat and ctas");
});

test("a request says what was set and nothing else", async ({ page }) => {
  const ask = {
    prompt: "a",
    mode: "auto",
    latencyMs: 5,
    tflops: null,
    quality: "low",
    pins: { seed: "", n: null },
    terms: { min_score: null, minimize: "" },
  };
  expect(await within(page, "request.js", "body", ask)).toEqual({ prompt: "a" });
  expect(await within(page, "request.js", "body", { ...ask, mode: "both" })).toEqual({
    prompt: "a",
    budget: { latency_ms: 5 },
  });
  const dual = { min_score: 0.7, minimize: "latency" };
  expect(await within(page, "request.js", "body", { ...ask, terms: dual })).toEqual({ prompt: "a", budget: dual });
  expect(await within(page, "request.js", "body", { ...ask, terms: { objective: "fidelity" } })).toEqual({
    prompt: "a",
    quality: "auto",
    budget: { objective: "fidelity" },
  });
});

test("a budget is never rounded below what it must be", async ({ page }) => {
  const values = [0.0028364, 28.142, 99.96, 0.01, 1234.5, 3];
  const above = await within(page, "scale.js", "above", values);
  for (const [index, value] of values.entries()) {
    expect(above[index]).toBeGreaterThanOrEqual(value);
    expect(above[index]).toBeLessThan(value * 1.02);
  }
});
