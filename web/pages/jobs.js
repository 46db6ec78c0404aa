// What runs when, and how it went.
import { html } from "../vendor/lit-html.js";
import { ask, nextMarker } from "../api.js";
import { every, shortened } from "../format.js";
import { ago, confirmed, filters, name, project, state, strip, table, textFilter } from "../parts.js";
import { here, link } from "../route.js";
import { may, report, showsAll, v2 } from "../session.js";

export const title = "Jobs";

export async function load({ query }) {
  const answer = await report("jobs", {
    limit: 50, marker: query.get("marker"), sort: query.get("sort"), client_id: query.get("client_id"),
  });
  return { jobs: answer.jobs, next: nextMarker(answer.jobs_links) };
}

export function view({ jobs, next }, act) {
  return html`
    ${filters([textFilter("client_id", "Client")])}
    ${jobs.length === 0 ? html`<p>${here().query.has("client_id") ? "No job fits." : firstJob()}</p>` : table("Jobs", columns(act), jobs, next)}`;
}

const firstJob = () => html`There is no job yet. Register a host by starting <code>freezer-scheduler</code> on it, then make a job in Horizon, or by
  <code>freezer job-create --client HOST --file job.json</code>.`;

const columns = (act) => [
  { label: "State", cell: (job) => (job.findings.length ? job.findings.map((word) => state(word)) : state(job.status || "scheduled")), text: (job) => job.findings.join(" ") || job.status },
  showsAll() && { label: "Project", cell: (job) => project(job.project_id), text: (job) => job.project_id },
  // By age: names are the catalogue's, and not sorted by.
  { label: "Job", sort: "created_at", first: "created_at:asc", cell: (job) => html`<a href=${link(["jobs", job.job_id], { all: null })}>${name(job.description || job.job_id)}</a>`, text: (job) => job.description || job.job_id },
  { label: "Client", cell: (job) => html`<a href=${link("jobs", { client_id: job.client_id })}>${name(job.client_id)}</a>`, text: (job) => job.client_id },
  { label: "Runs", wide: true, cell: (job) => name(every(job.period)), text: (job) => job.period },
  { label: "Last runs", cell: (job) => strip(job.runs, link("runs", { job_id: job.job_id })), text: (job) => job.runs.map((run) => run.state).join(" ") },
  { label: "Last success", wide: true, cell: (job) => ago(job.last_success_at), text: (job) => job.last_success_at },
  { label: "Due", wide: true, cell: (job) => ago(job.due_at), text: (job) => job.due_at },
  !showsAll() && may("jobs:event:create") && { label: "Do", cell: (job) => buttons(job.job_id, job.description, job.status, act) },
].filter(Boolean);

const EVENTS = { start: "Start", stop: "Stop", abort: "Abort" };

/** What schedulers make of it, otherwise than one would think. */
const NOTES = { abort: " That of 19.0.0 does not end the agent that is at work, and runs the job no more after it: to end the run at once, also end its process freezer-agent on the host." };

/** What one can ask of a job's scheduler: it comes for it with its next poll. */
export function buttons(id, description, status, act) {
  const offered = status === "running" ? ["abort", "stop"] : status === "scheduled" ? ["start", "stop"] : ["start"];
  const ask_for = async (event) => {
    const verb = EVENTS[event];
    if (!(await confirmed(`${verb} the job ${shortened(description, 60) || id}? Its scheduler does so at its next poll.${NOTES[event] ?? ""}`, verb))) return;
    await act(() => ask("POST", v2(`jobs/${encodeURIComponent(id)}/event`), { [event]: null }));
  };
  return html`<span class="buttons">${offered.map((event) => html`<button type="button" class="quiet" @click=${() => ask_for(event)}>${EVENTS[event]}</button>`)}</span>`;
}
