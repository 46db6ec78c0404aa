// Each page as one sees it, on a server for development with its sample, on SQLite.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { isSound, launch, looks, open, picture, settled } from "./browser.mjs";
import { developed } from "./server.mjs";

let server, browser;
before(async () => {
  [server, browser] = await Promise.all([developed("--sample"), launch()]);
  await Promise.all([judged(), server.grouped()]);
});

/** Hosts are judged once a minute. */
async function judged() {
  for (let tries = 0; tries < 120; tries += 1) {
    if ((await server.api("GET", "demo/report/hosts")).hosts.length > 0 && (await server.api("GET", "demo/report/summary")).red > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  assert.fail("no host was judged");
}

after(async () => { await browser?.close(); await server?.end(); });

const first = async (path, member) => (await server.api("GET", `demo/${path}`))[member][0];

async function places() {
  const run = await first("report/runs?state=fail", "runs");
  const job = await first("report/jobs", "jobs");
  const [backup] = await server.grouped();
  return {
    overview: "#/overview", problems: "#/problems", hosts: "#/hosts", host: "#/hosts/db-02.example.com", backups: "#/backups", series: backup.slice(0, backup.lastIndexOf("/")), records: "#/backups/all", backup, jobs: "#/jobs", runs: "#/runs", failed: "#/runs?state=fail&state=lost", sessions: "#/sessions",
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

test("the overview gives the verdict, and each number leads to its list", async () => {
  const page = await open(browser, `${server.url}/ui/`);
  await page.locator(".verdict", { hasText: /2 of 6 hosts have no recent backup/ }).waitFor();
  assert.match(await page.title(), /^\(\d+\) Overview/, "the title carries the count");
  assert.match(await page.locator(".tiles a", { hasText: "silent" }).innerText(), /1$/, "one scheduler of the sample has fallen silent");
  assert.equal(await page.locator("datalist option[value=demo]").count(), 1, "the projects that have hosts can be chosen");
  await page.locator(".tiles a", { hasText: "failing" }).click();
  await settled(page);
  assert.match(page.url(), /#\/problems\?kind=failing/);
  assert.match(await page.locator("tbody tr").first().innerText(), /failing[\s\S]*db-02/);
  await page.context().close();
});

test("filters and order are in the address, and the server does them", async () => {
  const page = await open(browser, `${server.url}/ui/#/runs`);
  await page.getByRole("checkbox", { name: "fail" }).check();
  await page.getByRole("textbox", { name: "Client" }).fill("db-02.example.com");
  await page.getByRole("button", { name: "Filter" }).click();
  await settled(page);
  assert.match(page.url(), /#\/runs\?.*state=fail/);
  const rows = page.locator("tbody tr");
  await assert.doesNotReject(page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 3));
  assert.match(await rows.first().innerText(), /fail[\s\S]*db-02[\s\S]*\/var\/lib\/mysql of db-02/, "jobs are told by what they are called");
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

test("the numbers of a project lead into it", async () => {
  const page = await open(browser, `${server.url}/ui/#/overview?all=1`);
  const row = page.getByRole("region", { name: "Projects" }).locator("tbody tr");
  await row.getByRole("link", { name: "6", exact: true }).click();
  await page.getByRole("heading", { name: "Hosts" }).waitFor();
  await settled(page);
  assert.equal(new URL(page.url()).hash, "#/hosts");
  assert.equal(await page.locator("tbody tr").count(), 6);
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

test("jobs without a name are told by their whole ids", async () => {
  const ids = ["nightly-of-db-01", "nightly-of-db-02"];
  for (const job_id of ids) {
    await server.api("POST", "demo/jobs", { job_id, client_id: "db-01.example.com", job_schedule: { status: "stop" }, job_actions: [] });
  }
  const page = await open(browser, `${server.url}/ui/#/jobs`);
  for (const id of ids) await page.getByRole("link", { name: id, exact: true }).waitFor();
  for (const id of ids) await server.api("DELETE", `demo/jobs/${id}`);
  await page.context().close();
});

test("a backup is restored by its command, or as a job", async () => {
  const page = await open(browser, `${server.url}/ui/#/backups`);
  await page.getByRole("textbox", { name: "Host" }).fill("db-01.example.com");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  await page.getByRole("link", { name: "mysql", exact: true }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 14);
  await page.locator("tbody tr").first().getByRole("link").first().click();
  const command = page.locator("pre").first();
  await command.waitFor();
  assert.match(await page.locator(".verdict").innerText(), /^mysql of db-01\.example\.com, \d{4}-/);
  assert.match(await command.innerText(), /^TZ=UTC freezer-agent --action restore --mode mysql .*--hostname db-01.example.com --restore-abs-path \/restore --restore-from-date /);
  await page.getByLabel("Into the folder").fill("/srv/back");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForFunction(() => document.querySelector("pre")?.innerText.includes("--restore-abs-path /srv/back"));
  await page.getByRole("button", { name: "Restore as a job" }).click();
  await page.getByRole("dialog").getByText("Restore on db-01.example.com, into /srv/back?").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  await page.getByRole("heading", { name: "Job", exact: true }).waitFor();
  const { jobs } = await server.api("GET", "demo/jobs?limit=50");
  const job = jobs.find((one) => one.job_actions[0].freezer_action.action === "restore");
  assert.equal(job.client_id, "db-01.example.com");
  assert.equal(job.job_actions[0].freezer_action.restore_abs_path, "/srv/back");
  assert.equal(job.job_schedule.event, "start", "its scheduler runs it at its next poll");
  await settled(page);
  await isSound(page, "the job of a restore");
  await server.api("DELETE", `demo/jobs/${job.job_id}`);
  await page.context().close();
});

test("the record of a backup is deleted after a yes", async () => {
  const page = await open(browser, `${server.url}/ui/#/backups`);
  await page.getByRole("link", { name: "Each backup, the newest first" }).click();
  await page.locator("tbody tr").first().getByRole("link").first().click();
  await page.getByRole("button", { name: "Delete the record" }).click();
  await page.getByRole("dialog").getByText("The data stay where they are").waitFor();
  const id = page.url().split("/").pop();
  await page.getByRole("dialog").getByRole("button", { name: "Delete the record" }).click();
  await page.getByRole("heading", { name: "Backups, one by one" }).waitFor();
  await assert.rejects(server.api("GET", `demo/backups/${id}`), /404/);
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
  // A new page begins at its heading.
  await page.waitForFunction(() => document.activeElement.tagName === "H1" && /^Runs/.test(document.activeElement.innerText));
  await settled(page);
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
