// What is wrong, the worst first, and what to do.
import { html, nothing } from "../vendor/lit-html.js";
import { nextMarker } from "../api.js";
import { ago, choices, filters, name, project, state, table, textFilter, time } from "../parts.js";
import { here, link } from "../route.js";
import { report, showsAll } from "../session.js";

export const title = "Problems";

/** The words that there are; others are shown as well. */
const KINDS = ["failing", "overdue", "never", "no_record", "lost", "stuck", "silent", "unreadable", "unprotected", "paused", "clock_skew", "pending", "orphan"];

export async function load({ query }) {
  const answer = await report("problems", {
    limit: 50, marker: query.get("marker"), kind: query.getAll("kind"), severity: query.get("severity"), client_id: query.get("client_id"), job_id: query.get("job_id"),
  });
  return { problems: answer.problems, as_of: answer.as_of, next: nextMarker(answer.problems_links) };
}

export const view = ({ problems, as_of, next }) => html`
  ${filters([choices("kind", "Kind", KINDS), textFilter("client_id", "Client")])}
  ${problems.length ? table("Problems", columns(), problems, next) : html`<p class="verdict">${allClear()}</p>`}
  ${as_of ? html`<p class="faint">Judged ${time(as_of)}</p>` : html`<p class="faint">Nothing was judged yet; that happens once a minute.</p>`}`;

const allClear = () => (["kind", "client_id", "job_id", "severity", "marker"].some((parameter) => here().query.has(parameter)) ? "No problem fits." : html`<span class="state good">✓ Nothing is wrong.</span>`);

/** Where a problem is looked into. */
function target(problem) {
  if (problem.kind === "orphan") return link("runs", { job_id: problem.job_id });
  if (problem.job_id) return link(["jobs", problem.job_id], { all: null });
  return problem.series_id ? link("backups") : link(["hosts", problem.client_id], { all: null });
}

/** What a problem is of, in words. */
const about = (problem) => (problem.job_id || problem.series_id ? name(problem.description || problem.job_id || "a backup") : "the host");

const columns = () => [
  { label: "Problem", cell: (problem) => html`<a href=${link("problems", { kind: problem.kind })}>${state(problem.kind, problem.severity)}</a>${problem.failed_in_a_row > 1 ? html` ×${problem.failed_in_a_row}` : nothing}`, text: (problem) => problem.kind },
  showsAll() && { label: "Project", cell: (problem) => project(problem.project_id), text: (problem) => problem.project_id },
  { label: "Client", cell: (problem) => html`<a href=${link("problems", { client_id: problem.client_id })}>${name(problem.client_id)}</a>`, text: (problem) => problem.client_id },
  { label: "Job", cell: (problem) => html`<a href=${target(problem)}>${about(problem)}</a>`, text: (problem) => problem.description || problem.job_id },
  { label: "Since", cell: (problem) => ago(problem.since), text: (problem) => problem.since },
  { label: "Last success", wide: true, cell: (problem) => ago(problem.last_success_at), text: (problem) => problem.last_success_at },
  { label: "Next step", cell: (problem) => html`<div class="prose">${problem.next_step}</div>`, text: (problem) => problem.next_step },
].filter(Boolean);

/** The same in one line, for the overview. */
export const line = (problem) => html`<tr>
  <td>${state(problem.kind, problem.severity)}</td><td><a href=${link("problems", { client_id: problem.client_id })}>${name(problem.client_id)}</a></td>
  <td><a href=${target(problem)}>${about(problem)}</a></td>
  <td>${ago(problem.since)}</td><td class="wide">${problem.next_step}</td></tr>`;
