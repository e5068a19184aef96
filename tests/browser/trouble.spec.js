// What does the page do when the server is busy, starting or gone? It says so, waits, and goes on.

import { crowd, disperse, HEAVY } from "./crowd.js";
import { budgetOf, draw, expect, generate, notice, prompt, result, stage, test } from "./playground.js";

// A server of this file's own, since what others asked for changes what plans a server grants, and soon full.
test.use({ launch: { flags: ["--queue-capacity=4"] } });

const banner = (page) => page.locator("#connection");

async function heavily(page) {
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Model", exact: true }).selectOption(HEAVY.model);
  await page.getByLabel("Steps", { exact: true }).fill(String(HEAVY.num_inference_steps));
  await page.getByLabel("Pictures", { exact: true }).fill(String(HEAVY.n));
  await budgetOf(page, "Auto");
  await prompt(page).fill("a red heart on grass");
}

test("a busy server is asked again when it said that there will be room", async ({ page, open, server }) => {
  await page.clock.install();
  await open();
  await heavily(page);
  const jobs = await crowd(server);
  await generate(page).click();
  await expect(notice(page)).toContainText("The server is busy");
  const retry = notice(page).getByRole("button", { name: /^Try again/ });
  await expect(retry).toBeDisabled();
  await expect(retry).toHaveText(/^Try again in \d+ s$/);
  await disperse(server, jobs);
  await page.clock.fastForward(600_000);
  await expect(retry).toHaveText("Try again");
  await expect(retry).toBeEnabled();
  await expect(page.locator("#said")).toHaveText("There should be room now.");
  await retry.click();
  await expect(stage(page)).toContainText(/step \d+ of 1000/);
  await page.keyboard.press("Escape");
  await expect(notice(page)).toContainText("Cancelled");
});

test("a server that is still loading is waited for", async ({ page, open, server }) => {
  await open();
  // No limit in time: what is timed while a browser draws beside it may be several times as slow.
  await budgetOf(page, "Auto");
  await prompt(page).fill("three pineapples on a beach");
  await server.stop();
  await server.start({ ready: false });
  await generate(page).click();
  await expect(stage(page)).toContainText("this goes on by itself");
  await expect(banner(page)).toContainText("warming up");
  await expect(banner(page).getByRole("progressbar")).toBeVisible();
  await expect(result(page)).toBeVisible();
  await expect(banner(page)).toBeHidden();
});

test("a server that is gone is looked for until it is back", async ({ page, open, server }) => {
  await open();
  await prompt(page).fill("a purple rocket in the sky");
  await server.stop();
  await expect(banner(page)).toContainText("cannot be reached");
  await generate(page).click();
  await expect(notice(page)).toContainText("The server cannot be reached");
  await expect(prompt(page)).toHaveValue("a purple rocket in the sky");
  await server.start();
  await expect(banner(page)).toBeHidden();
  await expect(page.locator("#said")).toHaveText("The server is back.");
  await notice(page).getByRole("button", { name: "Try again" }).click();
  await expect(result(page)).toBeVisible();
});

test("a server that dies while it draws is told as what it is", async ({ page, open, server }) => {
  await open();
  await heavily(page);
  await generate(page).click();
  await expect(stage(page)).toContainText(/step \d+ of 1000/);
  await server.stop();
  await expect(notice(page)).toContainText("The server cannot be reached");
  await server.start();
  await page.getByRole("button", { name: "Set all of these back" }).click();
  await draw(page, "a tiny panda in the snow");
});

test("a deadline that cannot be kept any more is told, and may be waived", async ({ page, open }) => {
  await open();
  // The server's answer, once: how late a machine is cannot be ordered.
  await page.route(
    "**/v1/images/generations",
    (route) =>
      route.fulfill({
        status: 504,
        json: { error: { message: "too late", type: "server_error", code: "deadline_exceeded", param: null } },
      }),
    { times: 1 },
  );
  await prompt(page).fill("a red heart on grass");
  await generate(page).click();
  await expect(notice(page)).toContainText("It would have come too late");
  await notice(page).getByRole("button", { name: "Rather late than never" }).click();
  await expect(result(page)).toBeVisible();
  await expect(page.locator("#on-late")).toHaveValue("run_late");
});
