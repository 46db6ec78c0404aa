// What an operator clicks in the morning, driven by tests/clients/test_page.py: `node story.mjs URL FOLDER`. A run has failed, a job
// waits to be started, another is to be broken off, and a file of a backup is wanted back. Prints the commands that the page offers, as JSON.
import assert from "node:assert/strict";
import { isSound, launch, open, picture, settled } from "./browser.mjs";

const [url, folder] = process.argv.slice(2);
const browser = await launch();
const page = await open(browser, `${url}ui/`);
const strays = [];
page.on("request", (request) => { if (!request.url().startsWith(url)) strays.push(request.url()); });
await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);

/** What a button has copied. */
async function copied(section) {
  await section.getByRole("button", { name: "Copy command" }).first().click();
  await section.getByRole("button", { name: "Copied" }).waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Waits for a run of a job to end so; the page finds out by itself. */
async function ended(word) {
  await page.locator("tbody tr, li", { has: page.locator(".state", { hasText: word }) }).first().waitFor({ timeout: 90_000 });
}

await page.locator("label.field", { hasText: "User" }).locator("input").fill("demo");
await page.locator("label.field", { hasText: "Password" }).locator("input").fill("demo");
await page.getByRole("button", { name: "Log in" }).click();

// Something failed last night: find it, and see where to look for why.
await page.getByRole("link", { name: "Runs", exact: true }).click();
await page.getByRole("checkbox", { name: "fail" }).check();
await page.getByRole("button", { name: "Filter" }).click();
await page.locator("tbody tr").getByRole("link", { name: "fail" }).first().click();
const where = page.locator("section", { hasText: "Where to look" });
await where.waitFor();
const journal = await copied(where);
await picture(page, "story-failed");

/** Starts a job that waits, and shows it. */
async function started(name) {
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  const row = page.locator("tbody tr", { hasText: name });
  await row.getByRole("button", { name: "Start" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Start" }).click();
  await row.getByRole("link", { name }).click();
}

// Its scheduler runs it.
await started("by hand");
await ended("success");

// One that does not come to its end is broken off.
await started("endless");
await ended("running");
await page.getByRole("button", { name: "Abort" }).click();
await page.getByRole("dialog").getByRole("button", { name: "Abort" }).click();
await ended("aborted");

// Bring a file back: by the command, and by a job.
await page.getByRole("link", { name: "Backups", exact: true }).click();
// Its job has the same name.
await page.locator('a[href^="#/backups/"]', { hasText: "tree" }).click();
await page.getByRole("heading", { name: "Backups, one by one" }).waitFor();
await page.locator("tbody tr").first().getByRole("link").first().click();
await page.getByLabel("Into the folder").fill(`${folder}/by-command`);
await page.getByRole("button", { name: "Show" }).click();
await page.locator("pre", { hasText: "by-command" }).waitFor();
const command = await copied(page.locator("main"));
await page.getByLabel("Into the folder").fill(`${folder}/by-job`);
await page.getByRole("button", { name: "Show" }).click();
await page.locator("pre", { hasText: "by-job" }).waitFor();
await picture(page, "story-restore");
await page.getByRole("button", { name: "Restore as a job" }).click();
await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
await page.getByRole("heading", { name: "Job", exact: true }).waitFor();
await ended("success");
await settled(page);
await isSound(page, "the job of the restore");
assert.deepEqual(page.faults, []);
assert.deepEqual(strays, [], "all is below the prefix");
await browser.close();
process.stdout.write(JSON.stringify({ journal, command }));
