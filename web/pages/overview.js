// Is everything all right? What failed last night?
import { html, nothing } from "../vendor/lit-html.js";
import { bars } from "../bars.js";
import { duration, relative, utc } from "../format.js";
import { name, project as projectCell, state, time } from "../parts.js";
import { go, link } from "../route.js";
import { enter, report, showsAll, user } from "../session.js";
import { firstHost } from "./hosts.js";
import { line } from "./problems.js";

export const title = "Overview";

export async function load() {
  const [summary, { problems }, { days }, { runs }] = await Promise.all([
    report("summary"), report("problems", { limit: 10 }), report("days"), report("runs", { limit: 10, state: "running", sort: "started_at:asc" }),
  ]);
  return { summary, problems, days: thirty(days), runs };
}

/** The last thirty days, also those without a run. */
function thirty(days) {
  const known = new Map(days.map((day) => [day.day, day]));
  return Array.from({ length: 30 }, (_, ago) => new Date(Date.now() - (29 - ago) * 86_400_000).toISOString().slice(0, 10)).map((day) => known.get(day) ?? { day });
}

export function view({ summary, problems, days, runs }) {
  if (summary.as_of && summary.hosts.total === 0 && summary.jobs.total === 0) return firstHost();
  return html`
    ${verdict(summary)}
    <ul class="tiles">${summary.findings.map(tile)}${runningTile(summary)}</ul>
    <div class="charts">
      ${bars("Last 24 hours (UTC)", summary.hours, (row) => utc(row.hour).slice(11, 16), (row, word) => during(row.hour, 3_600_000, word))}
      ${bars(`Last 30 days${rate(days)}`, days, (row) => row.day.slice(5), (row, word) => during(row.day, 86_400_000, word))}
    </div>
    ${problems.length ? worst(problems, summary) : nothing}
    <div class="charts">${runs.length ? running(runs) : nothing}${showsAll() && summary.projects.length ? byProject(summary) : nothing}</div>`;
}

/** The answer in one sentence. */
function verdict({ hosts, red, amber, as_of }) {
  const when = as_of ? html`<small>as of ${time(as_of)}</small>` : red + amber ? html`<small>The first look at all is under way.</small>` : "Nothing was judged yet; that happens once a minute.";
  if (hosts.red) return html`<p class="verdict"><span class="state bad">✗ ${hosts.red} of ${hosts.total} ${hosts.total === 1 ? "host has" : "hosts have"} no recent backup, or ${hosts.red === 1 ? "its" : "their"} last one failed.</span> ${when}</p>`;
  if (red + amber) return html`<p class="verdict"><span class="state warn">! Backups are as recent as their schedules ask, and ${amber === 1 ? "something needs" : `${amber} things need`} a look.</span> ${when}</p>`;
  if (!as_of) return html`<p class="verdict">${when}</p>`;
  return html`<p class="verdict"><span class="state good">✓ Every one of ${hosts.total} ${hosts.total === 1 ? "host" : "hosts"} has a backup as recent as its schedule asks.</span> ${when}</p>`;
}

const tile = ({ kind, severity, count, since }) => html`<li><a href=${link("problems", { kind })}>${state(kind, severity)} <b>${count}</b></a><small>${since ? `oldest ${relative(since)}` : nothing}</small></li>`;

const runningTile = ({ running: number, longest_running_since: since, due_soon }) => html`<li><a href=${link("runs", { state: "running" })}>${state("running")} <b>${number}</b></a>
  <small>${since ? `longest ${duration((Date.now() - Date.parse(since)) / 1000)}, ` : nothing}<a href=${link("hosts", { sort: "due_at:asc" })}>${due_soon} ${due_soon === 1 ? "host" : "hosts"} due</a> within an hour</small></li>`;

/** The runs that started in a time. */
function during(begin, length, word) {
  const from = Date.parse(begin);
  const field = (at) => new Date(at).toISOString().slice(0, 16);
  return link("runs", { state: word, since: field(from), until: field(from + length) });
}

/** How many of the finished runs succeeded. */
function rate(days) {
  const sum = (word) => days.reduce((total, day) => total + (day[word] ?? 0), 0);
  const [good, bad] = [sum("success"), sum("fail") + sum("lost") + sum("unreported")];
  return good + bad ? `: ${((good / (good + bad)) * 100).toFixed(good && bad ? 1 : 0)} % succeeded` : "";
}

const worst = (problems, { red, amber }) => html`<h2>Needs you, worst first</h2>
  <div class="scroll" role="region" tabindex="0" aria-label="Worst problems"><table>
    <thead><tr><th scope="col">Problem</th><th scope="col">Client</th><th scope="col">Job</th><th scope="col">Since</th><th scope="col" class="wide">Next step</th></tr></thead>
    <tbody>${problems.map(line)}</tbody></table></div>
  <p><a href=${link("problems")}>All ${red + amber} problems</a></p>`;

const running = (runs) => html`<section><h2>Running now</h2><ul class="plain">${runs.map((run) => html`<li><a href=${link(["runs", run.run_id], { all: null })}>${name(run.client_id)}</a> ${name(run.description || run.actions.join(", "))}, since ${time(run.started_at)}</li>`)}</ul></section>`;

/** A number that leads into the project, where the reader may enter it. */
function within(id, address, number) {
  if (!number || !user.session.projects.some((one) => one.id === id)) return number;
  const follow = async (event) => {
    event.preventDefault();
    await enter(id);
    go(address);
  };
  return html`<a href=${address} @click=${follow}>${number}</a>`;
}

const byProject = ({ projects, projects_left_out: more }) => html`<section><h2>By project</h2>
  <div class="scroll" role="region" tabindex="0" aria-label="Projects"><table>
    <thead><tr><th scope="col">Project</th><th scope="col">Hosts</th><th scope="col">Red</th><th scope="col">Amber</th><th scope="col">Oldest success</th></tr></thead>
    <tbody>${projects.map((project) => html`<tr><td>${projectCell(project.project_id)}</td>${[["hosts", {}, project.hosts], ["problems", { severity: "red" }, project.red], ["problems", { severity: "amber" }, project.amber]].map(([path, which, number]) => html`<td>${within(project.project_id, link(path, { ...which, all: null }), number)}</td>`)}<td>${time(project.oldest_success_at)}</td></tr>`)}</tbody>
  </table></div>${more ? html`<p>and ${more} more</p>` : nothing}</section>`;
