// Which hosts have no recent backup, and which schedulers have stopped polling.
import { html, nothing } from "../vendor/lit-html.js";
import { nextMarker } from "../api.js";
import { duration } from "../format.js";
import { ago, choices, filters, name, project, state, table, textFilter } from "../parts.js";
import { here, link } from "../route.js";
import { report, showsAll } from "../session.js";

export const title = "Hosts";

export async function load({ query }) {
  const answer = await report("hosts", {
    limit: 50, marker: query.get("marker"), sort: query.get("sort"), state: query.getAll("state"), client_id: query.get("client_id"),
  });
  return { hosts: answer.hosts, next: nextMarker(answer.hosts_links) };
}

export const view = ({ hosts, next }) => html`
  ${filters([choices("state", "Scheduler", ["alive", "silent", "unknown"]), textFilter("client_id", "Client")])}
  ${hosts.length ? table("Hosts", columns(), hosts, next) : filtered() ? html`<p>No host fits.</p>` : firstHost()}`;

const filtered = () => ["state", "client_id", "marker"].some((parameter) => here().query.has(parameter));

/** How a first host comes into the catalogue. */
export const firstHost = () => html`<p>There is no host yet. On the host to back up:</p>
  <pre tabindex="0">pip install freezer
freezer-scheduler --config-file /etc/freezer/scheduler.conf start   # registers the host
freezer job-create --client "$(hostname)" --file job.json           # what to back up, and when</pre><p>It appears here within a minute of its scheduler's start.`;

/** What is known of a host, for the list and for its own page. */
export const findings = (host) => (host.findings.length ? host.findings.map((word) => state(word)) : state("fine"));

const columns = () => [
  { label: "State", cell: findings, text: (host) => host.findings.join(" ") },
  showsAll() && { label: "Project", cell: (host) => project(host.project_id), text: (host) => host.project_id },
  { label: "Client", sort: "client_id", first: "client_id:asc", cell: (host) => html`<a href=${link(["hosts", host.client_id], { all: null })}>${name(host.client_id)}</a>${host.is_central ? html` <small>central</small>` : nothing}`, text: (host) => host.client_id },
  { label: "Scheduler", wide: true, cell: (host) => state(host.state), text: (host) => host.state },
  { label: "Last poll", wide: true, cell: (host) => ago(host.last_poll_at), text: (host) => host.last_poll_at },
  { label: "Last success", sort: "last_success_at", cell: (host) => ago(host.last_success_at), text: (host) => host.last_success_at },
  { label: "Due", wide: true, sort: "due_at", cell: (host) => ago(host.due_at), text: (host) => host.due_at },
  { label: "Jobs", cell: (host) => html`<a href=${link("jobs", { client_id: host.client_id })}>${host.jobs}</a>`, text: (host) => host.jobs },
  { label: "Running", wide: true, cell: (host) => (host.running ? html`<a href=${link("runs", { client_id: host.client_id, state: "running" })}>${host.running}</a>` : 0), text: (host) => host.running },
  { label: "Fails in a row", wide: true, cell: (host) => (host.failed_in_a_row ? html`<a href=${link("runs", { client_id: host.client_id, state: "fail" })}>${host.failed_in_a_row}</a>` : 0), text: (host) => host.failed_in_a_row },
  { label: "Agent", wide: true, cell: (host) => host.agent_version ?? "–", text: (host) => host.agent_version },
  { label: "Clock", wide: true, cell: (host) => (Math.abs(host.clock_skew ?? 0) >= 60 ? html`<span class="state warn">! ${duration(host.clock_skew)}</span>` : "–"), text: (host) => host.clock_skew },
].filter(Boolean);
