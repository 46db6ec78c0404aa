// One job: its schedule, its actions and its runs.
import { html, nothing } from "../vendor/lit-html.js";
import { ask } from "../api.js";
import { duration, masked, schedule, shortened, text } from "../format.js";
import { facts, state, strip, time } from "../parts.js";
import { link } from "../route.js";
import { may, report, user, v2 } from "../session.js";
import { buttons } from "./jobs.js";

export const title = "Job";

export async function load({ path: [, id] }) {
  const [job, { runs }] = await Promise.all([
    ask("GET", v2(`jobs/${encodeURIComponent(id)}`)),
    report("runs", { job_id: id, limit: 20 }),
  ]);
  return { job, runs };
}

export function view({ job, runs }, act) {
  const timing = job.job_schedule ?? {};
  return html`
    <p class="verdict">${state(timing.status || "scheduled")} ${shortened(job.description, 300) || job.job_id}</p>
    ${!isOurs(job) ? html`<p>This job belongs to the project ${job.project_id}. Enter that project to start or stop it.</p>` : may("jobs:event:create") ? buttons(job.job_id, job.description, timing.status, act) : nothing}
    ${facts([
      ["Client", html`<a href=${link("jobs", { client_id: job.client_id })}>${job.client_id}</a>`],
      ["Runs", schedule(timing)],
      timing.event && ["Asked for", timing.event],
      ["Last result", timing.result ? state(timing.result) : "–"],
      job.session_id && ["Session", html`<a href=${link("sessions")}>${job.session_id}</a>`],
      ["Id", job.job_id],
    ])}
    <h2>Last runs</h2>
    <p>${strip(runs, link("runs", { job_id: job.job_id }))} <a href=${link("runs", { job_id: job.job_id })}>All runs of this job</a> · <a href=${link("backups", { job_id: job.job_id })}>its backups</a></p>
    ${runs.length ? html`<ul class="plain">${runs.slice(0, 5).map((run) => html`<li><a href=${link(["runs", run.run_id])}>${state(run.state)}</a> ${time(run.started_at)}, took ${duration(run.duration)}</li>`)}</ul>` : nothing}
    <h2>Actions</h2>
    ${(job.job_actions ?? []).map((entry, at) => action(entry, at))}`;
}

/** An administrator sees jobs of other projects, and acts in one after entering it. */
const isOurs = (job) => !job.project_id || job.project_id === user.session.project.id;

/** The names of members come from the catalogue, too. */
function action(entry, at) {
  const { freezer_action: members, ...retries } = entry;
  const shown = { ...masked(members ?? {}), ...masked(retries) };
  return html`<details open><summary>${at + 1}. ${shortened(members?.action ?? "backup", 40)} ${shortened(members?.backup_name, 80)}</summary>
    ${facts(Object.entries(shown).filter(([, value]) => ![null, undefined, ""].includes(value)).map(([name, value]) => [shortened(name, 60), html`<span class="value">${shortened(text(value), 2000)}</span>`]))}</details>`;
}
