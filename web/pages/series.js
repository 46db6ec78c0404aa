// What can be restored: series of backups, each the backups of one thing.
import { html } from "../vendor/lit-html.js";
import { nextMarker } from "../api.js";
import { filters, name, project, state, table, textFilter, time } from "../parts.js";
import { here, link } from "../route.js";
import { report, showsAll } from "../session.js";

export const title = "Backups";

const FILTERS = ["hostname", "job_id"];

export async function load({ query }) {
  const chosen = Object.fromEntries(FILTERS.map((parameter) => [parameter, query.get(parameter)]));
  const answer = await report("series", { limit: 50, marker: query.get("marker"), sort: query.get("sort"), ...chosen });
  return { series: answer.series, next: nextMarker(answer.series_links) };
}

export const view = ({ series, next }) => html`
  ${filters([textFilter("hostname", "Host"), textFilter("job_id", "Job")])}
  ${series.length ? table("Backups", columns(), series, next) : html`<p>${[...FILTERS, "marker"].some((parameter) => here().query.has(parameter)) ? "No backup fits." : "No backup was recorded yet. Agents record each one when it is made; here it appears ten seconds later."}</p>`}
  <p><a href=${link(["backups", "all"], { all: null })}>Each backup, the newest first</a></p>
  <p class="faint">Agents do not report sizes.</p>`;

const columns = () => [
  { label: "Host", cell: (series) => name(series.hostname ?? "–"), text: (series) => series.hostname },
  showsAll() && { label: "Project", cell: (series) => project(series.project_id), text: (series) => series.project_id },
  { label: "Name", cell: (series) => html`<a href=${link(["backups", series.series_id], { all: null })}>${name(series.backup_name || series.resource_id || series.series_id)}</a>`, text: (series) => series.backup_name },
  { label: "Resource", wide: true, cell: (series) => name(series.resource_id ?? "–"), text: (series) => series.resource_id },
  { label: "In", wide: true, cell: (series) => name([series.storage, series.container].filter(Boolean).join(" ")), text: (series) => series.container },
  { label: "Job", wide: true, cell: (series) => (series.job_id ? html`<a href=${link(["jobs", series.job_id], { all: null })}>${name(series.description || series.job_id)}</a>` : "–"), text: (series) => series.description || series.job_id },
  { label: "Backups", cell: (series) => series.backups, text: (series) => series.backups },
  { label: "First", wide: true, cell: (series) => time(series.first_at), text: (series) => series.first_at },
  { label: "Last", sort: "last_at", first: "last_at:desc", cell: (series) => time(series.last_at), text: (series) => series.last_at },
  { label: "State", cell: (series) => (series.findings.length ? series.findings.map((word) => state(word)) : state(series.last_status || "available")), text: (series) => series.findings.join(" ") || series.last_status },
].filter(Boolean);
