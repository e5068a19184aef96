// What does the page look like now? Rewrites docs/pictures/playground-*.png: `node pictures.js`, with GOLDILOCKS_BINARY set.

import { chromium } from "@playwright/test";
import { join, resolve } from "node:path";
import { Server } from "./server.js";

const FOLDER = resolve(import.meta.dirname, process.argv[2] ?? "../../docs/pictures");
const WIDE = { viewport: { width: 1200, height: 900 } };

async function draw(page, text, { tflops, seed }) {
  await page.getByRole("radio", { name: "Compute" }).check();
  await page.getByRole("spinbutton", { name: "Compute" }).fill(tflops);
  await page.locator("#seed").evaluate((field, value) => {
    field.value = value;
  }, seed);
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill(text);
  await page.getByRole("button", { name: "Generate" }).click();
  await page.locator(".result").waitFor();
  await page.locator("#buys dl").waitFor();
}

async function compare(page) {
  await page.getByRole("combobox", { name: "in", exact: true }).selectOption("tflops");
  await page.getByLabel("Budgets", { exact: true }).fill("0.0029, 0.003, 0.0036, 0.006, 0.012");
  for (const model of ["emoji-c8", "emoji-c16", "emoji-c32"])
    await page.getByRole("checkbox", { name: model, exact: true }).check();
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  await page.getByText("The comparison is finished.").waitFor({ state: "attached" });
}

/** Each picture: how the browser is, what is done, and which part is shown. */
const PICTURES = {
  "playground.png": [WIDE, (page) => draw(page, "three pineapples on a beach", { tflops: "0.012", seed: "7" })],
  "playground-phone.png": [
    { viewport: { width: 360, height: 740 } },
    (page) => draw(page, "four strawberries on grass", { tflops: "0.006", seed: "3" }),
  ],
  "playground-compare.png": [
    WIDE,
    async (page) => {
      await draw(page, "three pineapples on a beach", { tflops: "0.012", seed: "7" });
      await compare(page);
    },
    "section.compare",
  ],
};

const server = await Server.launch();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
try {
  for (const [name, [options, act, part]] of Object.entries(PICTURES)) {
    const page = await (await browser.newContext({ reducedMotion: "reduce", ...options })).newPage();
    await page.goto(server.url);
    await page.locator(".dot").waitFor();
    await act(page);
    const path = join(FOLDER, name);
    await (part ? page.locator(part).screenshot({ path }) : page.screenshot({ path }));
  }
} finally {
  await browser.close();
  await server.remove();
}
