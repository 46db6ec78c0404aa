// What a catalogue may hold: nothing, or texts that somebody wrote to hurt.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isSound, launch, open, picture } from "./browser.mjs";
import { developed } from "./server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([developed(), launch()]); });
after(async () => { await browser?.close(); await server?.end(); });

test("an empty catalogue says what to do first", async () => {
  const page = await open(browser, `${server.url}/ui/#/jobs`);
  assert.match(await page.locator("main").innerText(), /freezer-scheduler/);
  for (const place of ["overview", "problems", "hosts", "jobs", "runs", "backups", "backups/all", "sessions"]) {
    await page.place(`#/${place}`);
    await isSound(page, `empty ${place}`);
  }
  await picture(page, "empty-light");
  await page.context().close();
});

const HOSTILE = [
  `<img src=x onerror="window.hurt=1">`, `"><script>window.hurt=1</script>`, `' onmouseover='window.hurt=1`, "javascript:window.hurt=1",
  "${window.hurt=1}", "{{window.hurt=1}}", "?lit$123$", "<!--", "</table>", "\u202Etxt.exe\u202C", "‮⁦evil⁩", "=HYPERLINK(\"http://evil.example.com\")",
  "%2e%2e%2f", "a\nb\r\nc", "\u0000".replace("\u0000", "␀"), "x".repeat(10_000), "W W ".repeat(2_500),
];

test("a hostile catalogue shows nothing but text", async () => {
  let number = 0;
  for (const text of HOSTILE) {
    number += 1;
    const short = text.slice(0, 200);
    // Names of clients are checked; texts of all other kinds are not.
    const id = `host${number}`;
    await server.api("POST", "demo/clients", { client_id: id, hostname: id, description: short });
    const { job_id } = await server.api("POST", "demo/jobs", {
      client_id: id, description: short, job_schedule: { schedule_interval: "1 days", status: "scheduled" },
      job_actions: [{ freezer_action: { action: "backup", backup_name: short, path_to_backup: short, log_file: short, container: short, note: text, [short.slice(0, 60)]: text, password: "hunter2", os_identity_api_key: "hunter2", nested: { token: "hunter2" } } }],
    });
    await server.api("PATCH", `demo/jobs/${job_id}`, { job_schedule: { schedule_interval: "1 days", status: "running", time_started: 1_790_000_000 + number, time_ended: -1, result: "" } });
    await server.api("PATCH", `demo/jobs/${job_id}`, { job_schedule: { schedule_interval: "1 days", status: "scheduled", time_started: 1_790_000_000 + number, time_ended: 1_790_000_100, result: "fail" } });
    const { session_id } = await server.api("POST", "demo/sessions", { description: short, schedule: { schedule_interval: "1 days" } });
    await server.api("PUT", `demo/sessions/${session_id}/jobs/${job_id}`);
    await server.api("POST", "demo/backups", { hostname: short, backup_name: short, container: short, path_to_backup: text, job_id, time_stamp: 1_790_000_000 });
  }
  const { jobs } = await server.api("GET", "demo/jobs?limit=50");
  const { runs } = await server.api("GET", "demo/report/runs?limit=50");
  const backups = await server.grouped();
  assert.equal(backups.length, HOSTILE.length);
  const places = ["#/overview", "#/problems", "#/hosts", "#/jobs", "#/runs", "#/backups", "#/sessions", "#/backups/all", ...backups, ...jobs.map((job) => `#/jobs/${job.job_id}`), ...runs.map((run) => `#/runs/${run.run_id}`),
    ...HOSTILE.map((text) => `#/runs?client_id=${encodeURIComponent(text.slice(0, 100))}`), `#/${encodeURIComponent("<img src=x onerror=window.hurt=1>")}`, "#/%E0%A4%A"];
  for (const look of ["light", "phone"]) {
    const page = await open(browser, `${server.url}/ui/`, { look, expected: [400] });
    for (const place of places) {
      await page.place(place);
      const found = await page.evaluate(() => ({
        hurt: window.hurt, images: document.querySelectorAll("img, iframe, object, embed, main script").length,
        links: [...document.links].filter((link) => link.protocol !== "http:" || link.host !== location.host).length,
        handlers: [...document.querySelectorAll("*")].filter((element) => element.getAttributeNames().some((name) => name.startsWith("on"))).length,
        wide: document.documentElement.scrollWidth - innerWidth, secret: document.body.innerText.includes("hunter2"),
      }));
      assert.deepEqual(found, { hurt: undefined, images: 0, links: 0, handlers: 0, wide: Math.min(found.wide, 0), secret: false }, place);
    }
    assert.deepEqual(page.faults, []);
    await page.place("#/jobs");
    assert.ok((await page.locator("main").innerText()).includes(`<img src=x onerror="window.hurt=1">`), "it is shown as it is");
    await picture(page, `hostile-${look}`);
    await page.context().close();
  }
});
