// Can everybody use it? Light and dark, narrow, without motion, by keyboard alone, read by a machine.

import AxeBuilder from "@axe-core/playwright";
import { budgetOf, draw, expect, generate, notice, prompt, result, stage, test } from "./playground.js";

// A server of this file's own: what others asked for changes what plans a server grants.
test.use({ launch: {} });

/** Every state of the page that looks different; each leaves the page as the next one needs it. */
const STATES = {
  "nothing drawn yet": async () => {},
  "a result and a warning": async (page) => draw(page, "two pinapples and a zebra"),
  "everything open": async (page) => {
    for (const summary of await page.locator("details:not([open]) > summary").all()) {
      if (await summary.isVisible()) await summary.click();
    }
    await budgetOf(page, "Both");
    await expect(page.getByRole("slider")).toHaveCount(2);
  },
  "a refusal": async (page) => {
    await page.getByRole("spinbutton", { name: "Compute" }).fill("0.0001");
    await generate(page).click();
    await expect(notice(page)).toContainText("No plan fits");
    await budgetOf(page, "Auto");
  },
  "a comparison": async (page) => {
    await page.getByRole("combobox", { name: "in", exact: true }).selectOption("tflops");
    await page.getByLabel("Budgets", { exact: true }).fill("0.0001, 0.003, 0.004, 0.006, 0.012");
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    await expect(page.locator("#said")).toHaveText("The comparison is finished.");
  },
  "the dialog": async (page) => page.getByRole("button", { name: "API key" }).click(),
};

const widthOf = (page) =>
  page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);

for (const colorScheme of ["light", "dark"]) {
  test(`nothing bars anybody, ${colorScheme}`, async ({ page, open }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await open();
    for (const [name, reach] of Object.entries(STATES)) {
      await reach(page);
      const { violations, passes } = await new AxeBuilder({ page }).analyze();
      const told = violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`,
      );
      expect(told, name).toEqual([]);
      expect(passes.length, name).toBeGreaterThan(20);
    }
  });
}

test("a phone 360 pixels wide shows everything without scrolling sideways", async ({ page, open }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await open();
  for (const [name, reach] of Object.entries(STATES)) {
    await reach(page);
    const [scroll, client] = await widthOf(page);
    expect(scroll, name).toBeLessThanOrEqual(client);
    expect(client, name).toBeLessThanOrEqual(360);
  }
});

test("on a phone the picture comes into view when it is drawn", async ({ page, open }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open();
  await draw(page, "a tiny panda in the snow");
  await expect(stage(page).getByRole("img")).toBeInViewport();
});

/** Every animation that runs while a picture is drawn. */
async function animationsOf(page, text) {
  const seen = page.evaluate(
    () =>
      new Promise((done) => {
        const names = new Set();
        const observer = new MutationObserver(() => {
          for (const animation of document.getAnimations()) names.add(animation.constructor.name);
          if (!document.querySelector("#stage .result")) return;
          observer.disconnect();
          done([...names]);
        });
        document.querySelector("#stage").replaceChildren();
        observer.observe(document.body, { subtree: true, childList: true, attributes: true });
      }),
  );
  await draw(page, text);
  return seen;
}

test("who wants no motion gets none, and others get some", async ({ page, open }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open();
  expect(await animationsOf(page, "a purple rocket in the sky")).toEqual([]);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  expect(await animationsOf(page, "a tiny panda in the snow")).not.toEqual([]);
});

test("everything can be done by keyboard", async ({ page, open }) => {
  await open();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the prompt" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(prompt(page)).toBeFocused();
  await page.keyboard.type("four strawberries on grass");
  await page.keyboard.press("Control+Enter");
  await expect(result(page)).toBeVisible();
  const reached = new Set();
  for (let press = 0; press < 80; press += 1) {
    reached.add(await page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim()));
    await page.keyboard.press("Tab");
  }
  for (const target of [
    "generate",
    "latency-number",
    "latency",
    "axis-latency",
    "Advanced",
    "Download",
    "Copy as curl",
    "compare-budgets",
    "compare-run",
    "Run again",
    "key-open",
  ]) {
    expect([...reached], target).toContain(target);
  }
});
