// The page of a cloud: MariaDB, and logins at a real Keystone, each by the form that a user sees.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isSound, launch, looks, open, picture, settled } from "./browser.mjs";
import { identity, keystone, ofCloud, token } from "./server.mjs";

const skip = keystone && process.env.FREEZER_TEST_MYSQL_URL ? false : "needs Keystone and MariaDB";
let server, browser, demo, job;
const expected = [401, 403, 404];

before(async () => {
  if (skip) return;
  [server, browser, demo] = await Promise.all([ofCloud("page"), launch(), token("demo", "demo")]);
  const project = demo.project.id;
  const ask = (method, path, body) => server.api(method, `${project}/${path}`, body, { "X-Auth-Token": demo.id });
  await ask("POST", "clients", { client_id: "host1.example.com", hostname: "host1.example.com" });
  job = await ask("POST", "jobs", {
    client_id: "host1.example.com", description: "the night's", job_schedule: { schedule_interval: "1 days", status: "scheduled" },
    job_actions: [{ freezer_action: { action: "backup", backup_name: "etc", path_to_backup: "/etc", container: "/b", ssh_password: "hunter2" } }],
  });
});
after(async () => { await browser?.close(); await server?.end(); });

/** Logs in as a user does. */
async function logIn(page, fields, method) {
  if (method) await page.getByRole("radio", { name: method, exact: true }).check();
  for (const [label, value] of Object.entries(fields)) await page.locator("label.field", { hasText: new RegExp(`^\\s*${label}`) }).locator("input").fill(value);
  await page.getByRole("button", { name: "Log in" }).click();
}
const inside = (page) => page.getByRole("button", { name: "Log out" }).waitFor();
const start = (look) => open(browser, `${server.url}/ui/#/jobs`, { look, expected });

for (const look of Object.keys(looks)) {
  test(`the login in ${look}`, { skip }, async () => {
    const page = await start(look);
    await isSound(page, `login in ${look}`);
    await picture(page, `login-${look}`);
    await logIn(page, { User: "demo", Password: "demo" });
    await inside(page);
    await settled(page);
    await isSound(page, `jobs in ${look}`);
    await picture(page, `cloud-jobs-${look}`);
    await page.context().close();
  });
}

test("a password that is wrong is told, and the right one lets in", { skip }, async () => {
  const page = await start();
  await logIn(page, { User: "demo", Password: "wrong" });
  await page.getByRole("alert").filter({ hasText: "Keystone refuses this login" }).waitFor();
  await picture(page, "login-refused-light");
  await logIn(page, { Password: "demo" });
  await inside(page);
  assert.equal(new URL(page.url()).hash, "#/jobs", "where the reader wanted to go");
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ httpOnly, sameSite, path }) => [httpOnly, sameSite, path]), [[true, "Strict", "/"]]);
  assert.equal(await page.evaluate(() => document.cookie), "", "no script reads it");
  await page.reload();
  await inside(page);
  await page.context().close();
});

test("an application credential and a token let in", { skip }, async () => {
  const unscoped = await token("demo");
  const made = await identity("POST", `/users/${demo.user.id}/application_credentials`, demo.id, { application_credential: { name: `ui-${process.pid}`, secret: "of the test" } });
  const { id } = made.application_credential;
  try {
    for (const [method, fields] of [
      ["Application credential", { Id: id, Secret: "of the test" }], ["Token", { "Token, as openstack token issue shows it": unscoped.id }],
    ]) {
      const page = await start();
      await logIn(page, fields, method);
      await inside(page);
      await page.getByRole("link", { name: "the night's" }).waitFor();
      await page.context().close();
    }
  } finally {
    await identity("DELETE", `/users/${demo.user.id}/application_credentials/${id}`, demo.id);
  }
});

test("a session that has ended leads to the login, and back to the place", { skip }, async () => {
  const page = await start();
  const brought = await token("demo", "demo");
  await logIn(page, { "Token, as openstack token issue shows it": brought.id }, "Token");
  await inside(page);
  await identity("DELETE", "/auth/tokens", brought.id, undefined, { "X-Subject-Token": brought.id });
  await page.evaluate(() => { location.hash = "#/runs"; });
  await page.getByText("Your session has ended").waitFor();
  await picture(page, "login-ended-light");
  await logIn(page, { User: "demo", Password: "demo" }, "Password");
  await inside(page);
  await page.getByRole("heading", { name: "Runs" }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("button", { name: "Log in" }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Log in" }).waitFor();
  await page.context().close();
});

test("a member asks a job to start and to stop, and the scheduler finds it", { skip }, async () => {
  const page = await start();
  await logIn(page, { User: "demo", Password: "demo" });
  await page.getByRole("link", { name: "the night's" }).click();
  await settled(page);
  assert.ok(!(await page.locator("main").innerText()).includes("hunter2"), "secrets are hidden");
  const events = async () => (await server.api("GET", `${demo.project.id}/jobs/${job.job_id}`, undefined, { "X-Auth-Token": demo.id })).job_schedule.event;
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.ok(!(await events()), "nothing happens without a yes");
  for (const [verb, event] of [["Start", "start"], ["Stop", "stop"]]) {
    await page.getByRole("button", { name: verb, exact: true }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: verb }).click();
    await page.locator("dl div", { hasText: "Asked for" }).locator("dd", { hasText: event }).waitFor();
    assert.equal(await events(), event);
    // As the scheduler does when it has taken the event.
    await server.api("PATCH", `${demo.project.id}/jobs/${job.job_id}`, { job_schedule: { event: "", status: "scheduled", schedule_interval: "1 days" } }, { "X-Auth-Token": demo.id });
    await page.reload();
    await inside(page);
    await settled(page);
  }
  await isSound(page, "a job with its buttons");
  await page.context().close();
});

test("a reader has no buttons, an administrator all projects", { skip }, async () => {
  const reader = await start();
  await logIn(reader, { User: "viewer", Password: "viewer" });
  await inside(reader);
  await reader.getByRole("link", { name: "the night's" }).click();
  await settled(reader);
  for (const verb of ["Start", "Stop", "Abort"]) assert.equal(await reader.getByRole("button", { name: verb, exact: true }).count(), 0);
  await reader.context().close();

  const admin = await start();
  await logIn(admin, { User: "admin", Password: "admin" });
  await inside(admin);
  await settled(admin);
  assert.equal(await admin.locator("tbody tr").count(), 0, "its own project has no job");
  await admin.getByLabel("Project").selectOption({ label: "All projects" });
  await admin.getByRole("link", { name: "the night's" }).waitFor();
  assert.match(admin.url(), /all=1/);
  assert.equal(await admin.locator("main").getByRole("button", { name: "Start" }).count(), 0, "one acts in a project");
  await picture(admin, "all-projects-light");
  await admin.context().close();
});

test("a user with no role that counts is told so", { skip }, async () => {
  const page = await start();
  await logIn(page, { User: "nobody", Password: "nobody" });
  await inside(page);
  await page.getByRole("alert").filter({ hasText: "Your roles do not allow this" }).waitFor();
  await isSound(page, "without a role");
  await picture(page, "forbidden-light");
  await page.context().close();
});
