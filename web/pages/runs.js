// What happened: the runs of jobs.
import { html } from "../vendor/lit-html.js";
import { nextMarker } from "../api.js";
import { duration, utc } from "../format.js";
import { choices, filters, name, project, state, table, textFilter, time } from "../parts.js";
import { changed, here, link } from "../route.js";
import { report, showsAll } from "../session.js";
import { timetable } from "../timetable.js";

export const title = "Runs";

const STATES = ["running", "success", "fail", "aborted", "lost", "unreported", "removed"];

export async function load({ query }) {
  const answer = await report("runs", {
    limit: 50, marker: query.get("marker"), sort: query.get("sort"), state: query.getAll("state"), client_id: query.get("client_id"),
    job_id: query.get("job_id"), since: instant(query.get("since")), until: instant(query.get("until")),
  });
  return { runs: answer.runs, next: nextMarker(answer.runs_links) };
}

export function view({ runs, next }) {
  return html`
    <p class="presets">Started ${presets().map(([label, since, until]) => html`<a href=${changed({ since, until })}>${label}</a> `)}</p>
    ${filters([
      choices("state", "Result", STATES), textFilter("client_id", "Client"), textFilter("job_id", "Job"),
      moment("since", "From (UTC)"), moment("until", "Until (UTC)"),
    ])}
    ${runs.length === 0 ? html`<p>${filtered() ? "No run fits." : nothingYet()}</p>` : html`${timetable(runs)}${table("Runs", columns(), runs, next)}`}`;
}

const filtered = () => [...here().query.keys()].some((parameter) => parameter !== "all" && parameter !== "sort");

const nothingYet = () => html`No run was reported yet. Runs appear when a scheduler starts a job: see <a href=${link("jobs")}>Jobs</a>.`;

const columns = () => [
  { label: "Result", cell: (run) => html`<a href=${link(["runs", run.run_id], { all: null })}>${state(run.state)}</a>`, text: (run) => run.state },
  showsAll() && { label: "Project", cell: (run) => project(run.project_id), text: (run) => run.project_id },
  { label: "Client", cell: (run) => html`<a href=${link("runs", { client_id: run.client_id })}>${name(run.client_id)}</a>`, text: (run) => run.client_id },
  { label: "Job", cell: (run) => html`<a href=${link(["jobs", run.job_id], { all: null })}>${name(run.description || run.job_id)}</a>`, text: (run) => run.description || run.job_id },
  { label: "Actions", wide: true, cell: (run) => run.actions.join(", "), text: (run) => run.actions.join(" ") },
  { label: "Started", sort: "started_at", first: "started_at:desc", cell: (run) => time(run.started_at), text: (run) => run.started_at },
  { label: "Took", cell: (run) => duration(run.duration), text: (run) => run.duration },
  { label: "Attempts", wide: true, cell: (run) => run.attempts, text: (run) => run.attempts },
].filter(Boolean);

const moment = (field, label) => html`<label>${label} <input type="datetime-local" name=${field} .value=${(here().query.get(field) ?? "").slice(0, 16)}></label>`;

/** What the field for a time says, as the API takes it. */
const instant = (value) => (value ? new Date(value.endsWith("Z") ? value : `${value}Z`).toISOString() : null);

/** Nights are those of the reader: the last one that is over or under way, from 22 to 6 o'clock. */
function presets() {
  const begin = new Date();
  if (begin.getHours() < 22) begin.setDate(begin.getDate() - 1);
  begin.setHours(22, 0, 0, 0);
  const field = (date) => `${utc(date).slice(0, 16).replace(" ", "T")}`;
  const ago = (hours) => field(new Date(Date.now() - hours * 3_600_000));
  return [
    ["last night", field(begin), field(new Date(begin.getTime() + 8 * 3_600_000))],
    ["24 hours", ago(24), null], ["7 days", ago(168), null], ["ever", null, null],
  ];
}
