// One host: its scheduler and its jobs.
import { html, nothing } from "../vendor/lit-html.js";
import { ask } from "../api.js";
import { duration, every } from "../format.js";
import { facts, name, state, strip, time } from "../parts.js";
import { link } from "../route.js";
import { report, v2 } from "../session.js";
import { findings } from "./hosts.js";

export const title = "Host";

export async function load({ path: [, id] }) {
  const [host, { jobs }] = await Promise.all([ask("GET", v2(`report/hosts/${encodeURIComponent(id)}`)), report("jobs", { client_id: id, limit: 50 })]);
  return { host, jobs };
}

export const view = ({ host, jobs }) => html`
  <p class="verdict">${host.client_id} ${findings(host)}</p>
  ${facts([
    ["Scheduler", html`${state(host.state)}${host.last_poll_at ? html` last poll ${time(host.last_poll_at)}` : nothing}${host.poll_interval ? html`, ${every(host.poll_interval)}` : nothing}`],
    host.addresses > 1 && ["Addresses", `it polls from ${host.addresses}: several schedulers share this client`],
    ["Last success", time(host.last_success_at)], ["Due", time(host.due_at)],
    ["Restarts", host.restarts], ["System", host.os ?? "–"], ["Agent", host.agent_version ?? "–"],
    host.clock_skew !== null && ["Clock", `${duration(host.clock_skew)} behind this service's`],
    !host.is_registered && ["Registered", "no: it has jobs, but its scheduler has not registered"],
  ])}
  <h2>Jobs</h2>
  ${jobs.length ? html`<ul class="plain">${jobs.map((job) => html`<li><a href=${link(["jobs", job.job_id])}>${name(job.description || job.job_id, 80)}</a>
    ${job.findings.map((word) => state(word))} ${strip(job.runs, link("runs", { job_id: job.job_id }))}</li>`)}</ul>` : html`<p>Nothing is backed up on this host.</p>`}
  <p><a href=${link("jobs", { client_id: host.client_id })}>Its jobs</a> · <a href=${link("runs", { client_id: host.client_id })}>its runs</a>${host.hostname ? html` · <a href=${link("backups", { hostname: host.hostname })}>its backups</a>` : nothing} · <a href=${link("problems", { client_id: host.client_id })}>its problems</a></p>`;
