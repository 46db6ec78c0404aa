// Each page as one sees it, on a server for development with its sample, on SQLite.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { isSound, launch, looks, open, picture, settled } from "./browser.mjs";
import { developed } from "./server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([developed("--sample"), launch()]); });
after(async () => { await browser?.close(); await server?.end(); });

const first = async (path, member) => (await server.api("GET", `demo/${path}`))[member][0];

async function places() {
  const run = await first("report/runs?state=fail", "runs");
  const job = await first("report/jobs", "jobs");
  return {
    jobs: "#/jobs", runs: "#/runs", failed: "#/runs?state=fail&state=lost", sessions: "#/sessions",
    run: `#/runs/${run.run_id}`, job: `#/jobs/${job.job_id}`, absent: "#/jobs/absent",
  };
}

for (const look of Object.keys(looks)) {
  test(`every page in ${look}`, async () => {
    const page = await open(browser, `${server.url}/`, { look, expected: [404] });
    assert.equal(page.url(), `${server.url}/ui/`, "/ leads a browser to the page");
    for (const [name, address] of Object.entries(await places())) {
      await page.place(address);
      await picture(page, `${name}-${look}`);
      await isSound(page, `${name} in ${look}`);
    }
    await page.context().close();
  });
}

test("filters and order are in the address, and the server does them", async () => {
  const page = await open(browser, `${server.url}/ui/#/runs`);
  await page.getByRole("checkbox", { name: "fail" }).check();
  await page.getByRole("textbox", { name: "Client" }).fill("db-02.example.com");
  await page.getByRole("button", { name: "Filter" }).click();
  await settled(page);
  assert.match(page.url(), /#\/runs\?.*state=fail/);
  const rows = page.locator("tbody tr");
  await assert.doesNotReject(page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 3));
  assert.match(await rows.first().innerText(), /fail[\s\S]*db-02/);
  const newest = await rows.first().innerText();
  await page.getByRole("link", { name: "Started" }).click();
  await page.waitForFunction((text) => ![undefined, text].includes(document.querySelector("tbody tr")?.innerText), newest);
  assert.equal(await rows.last().innerText(), newest);
  // A colleague who gets the address sees the same.
  const other = await open(browser, page.url());
  assert.equal(await other.locator("tbody tr").count(), 3);
  assert.ok(await other.getByRole("checkbox", { name: "fail" }).isChecked());
  await other.context().close();
  await page.getByRole("link", { name: "Clear" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 50);
  await page.getByRole("link", { name: "Next page" }).click();
  await page.getByRole("link", { name: "First page" }).waitFor();
  assert.match(page.url(), /marker=/);
  await page.context().close();
});

test("a table is saved as CSV", async () => {
  const page = await open(browser, `${server.url}/ui/#/jobs`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\r\n");
  assert.equal(lines.length, 8);
  assert.match(lines[0], /^"State","Job","Client"/);
  assert.ok(lines.some((line) => /failing.*db-02/.test(line)), lines.join("\n"));
  await page.context().close();
});

test("by keyboard alone: to a run that failed, and where to look", async () => {
  const page = await open(browser, `${server.url}/ui/`);
  const focused = () => page.evaluate(() => `${document.activeElement.tagName} ${document.activeElement.innerText ?? ""}`);
  const tabTo = async (wanted, key = "Tab") => {
    for (let steps = 0; steps < 80; steps += 1) {
      await page.keyboard.press(key);
      if (wanted.test(await focused())) return;
    }
    assert.fail(`no ${wanted} by Tab`);
  };
  // Back from the heading, where one begins.
  await tabTo(/^A Runs/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.match(await focused(), /^H1 Runs/, "a new page begins at its heading");
  await tabTo(/^A .*✗/s);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Where to look" }).waitFor();
  assert.match(await page.locator("pre").first().innerText(), /^journalctl -u freezer-scheduler --since '.* UTC' --until '.* UTC'$/);
  await page.context().close();
});

test("a server that goes away is told, and comes back", async () => {
  const page = await open(browser, `${server.url}/ui/#/jobs`, { expected: [0, 503] });
  await server.stop();
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 7, "what was read stays");
  await picture(page, "unreachable-light");
  await server.start();
  await page.getByRole("alert").waitFor({ state: "detached" });
  await page.context().close();
});
