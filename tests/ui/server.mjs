// Real servers for the tests of the page: freezer-api as a process, on SQLite for development or on MariaDB with Keystone.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const programs = process.env.FREEZER_TEST_BIN ?? "target/debug";
export const keystone = process.env.FREEZER_TEST_KEYSTONE_URL;
const mysql = process.env.FREEZER_TEST_MYSQL_URL;

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

/** A running freezer-api. */
class Server {
  constructor(folder, port, args, environment) {
    Object.assign(this, { folder, port, args, environment, url: `http://127.0.0.1:${port}` });
  }

  async start() {
    this.process = spawn(join(programs, "freezer-api"), this.args, { env: { ...process.env, ...this.environment }, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on("data", (data) => { output += data; });
    for (let tries = 0; tries < 300; tries += 1) {
      if (this.process.exitCode !== null) throw new Error(`freezer-api ended: ${output}`);
      try {
        await fetch(`${this.url}/healthcheck`);
        // The records of --sample are added before the banner says what to try.
        if (!this.args.includes("--dev") || output.includes("stop with")) return this;
      } catch { /* not yet */ }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`freezer-api does not listen: ${output}`);
  }

  stop() {
    return new Promise((resolve) => {
      this.process.once("exit", resolve);
      this.process.kill();
    });
  }

  async end() {
    if (this.process.exitCode === null) await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Asks the API as a program does. */
  async api(method, path, body, headers = {}) {
    const response = await fetch(`${this.url}/v2/${path}`, { method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** The places of the last backups, by the series into which a housekeeper puts them within ten seconds. */
  async grouped(project = "demo") {
    const { backups } = await this.api("GET", `${project}/backups?limit=500`);
    for (let tries = 0; tries < 60; tries += 1) {
      const { series } = await this.api("GET", `${project}/report/series?limit=50`);
      if (series.reduce((sum, one) => sum + one.backups, 0) === backups.length) {
        const members = await Promise.all(series.map(({ series_id: id }) => this.api("GET", `${project}/report/series/${id}/backups?limit=50`)));
        return members.flatMap((member, at) => member.backups.map((backup) => `#/backups/${series[at].series_id}/${backup.backup_id}`));
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Error("the backups did not come into series");
  }
}

/** `freezer-api --dev` on a new SQLite file. */
export async function developed(...options) {
  const folder = mkdtempSync(join(tmpdir(), "freezer-ui-"));
  const port = await freePort();
  return new Server(folder, port, ["--dev", "--bind-port", String(port), ...options], { XDG_DATA_HOME: folder }).start();
}

/** A server of a cloud: on a new database in MariaDB, with the Keystone of the test run. */
export async function ofCloud(name) {
  const folder = mkdtempSync(join(tmpdir(), "freezer-ui-"));
  const port = await freePort();
  const { hostname, port: sqlPort, username, password } = new URL(mysql.replace("mysql+pymysql", "http"));
  const database = `ui_${name}_${process.pid}`;
  execFileSync("mariadb", ["--no-defaults", "-h", hostname, "-P", sqlPort, "-u", username, `-p${password}`, "-e",
    `DROP DATABASE IF EXISTS ${database}; CREATE DATABASE ${database} CHARACTER SET utf8mb4`]);
  const file = join(folder, "freezer-api.conf");
  writeFileSync(file, `[DEFAULT]
bind_host = 127.0.0.1
bind_port = ${port}
[database]
connection = ${mysql}${database}?charset=utf8mb4
[ui]
allow_http = true
[centralized_scheduler]
enabled = false
[keystone_authtoken]
auth_url = ${keystone}
auth_type = password
username = freezer
password = freezer
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
# Keystone is asked each time, so that a token which is revoked is refused at once.
token_cache_time = -1
`);
  execFileSync(join(programs, "freezer-manage"), ["--config-file", file, "db", "sync"], { stdio: "pipe" });
  return new Server(folder, port, ["--config-file", file], {}).start();
}

/** A token of Keystone for a user whose password is the name; scope is that of the Identity API. */
export async function token(user, project) {
  const identity = { methods: ["password"], password: { user: { name: user, domain: { id: "default" }, password: user } } };
  const scope = project && { project: { name: project, domain: { id: "default" } } };
  const response = await fetch(`${keystone}/auth/tokens`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ auth: { identity, scope } }),
  });
  if (!response.ok) throw new Error(`${user}: ${response.status} ${await response.text()}`);
  return { id: response.headers.get("X-Subject-Token"), ...(await response.json()).token };
}

/** Asks Keystone. */
export async function identity(method, path, by, body, headers = {}) {
  const response = await fetch(`${keystone}${path}`, {
    method, headers: { "Content-Type": "application/json", "X-Auth-Token": by, ...headers }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}
