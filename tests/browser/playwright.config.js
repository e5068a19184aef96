// How do the browser tests run? One Chromium from the system, one worker: they share the processor with the server.

import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.js",
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  // A shared machine may be away for longer than a timeout. What needed a second try is told as flaky.
  retries: 1,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  use: {
    actionTimeout: 10_000,
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      // Containers seldom allow the sandbox's namespaces; the only page that is opened is our own.
      args: ["--no-sandbox"],
    },
    permissions: ["clipboard-read", "clipboard-write"],
    trace: "retain-on-failure",
  },
});
