// Jobs of several hosts that run together.
import { html, nothing } from "../vendor/lit-html.js";
import { ask, nextMarker, query as search } from "../api.js";
import { ofSeconds, schedule, shortened } from "../format.js";
import { state, table, time } from "../parts.js";
import { link } from "../route.js";
import { v2 } from "../session.js";

export const title = "Sessions";

export async function load({ query }) {
  const parameters = { limit: 50, marker: query.get("marker"), sort: query.get("sort") ?? "created_at:desc" };
  const answer = await ask("GET", `${v2("sessions")}?${search(parameters)}`);
  return { sessions: answer.sessions, next: nextMarker(answer.sessions_links) };
}

export const view = ({ sessions, next }) =>
  sessions.length === 0
    ? html`<p>There is no session. A session starts jobs of several hosts together: <code>freezer session-create</code>.</p>`
    : table("Sessions", columns, sessions, next);

const started = (session) => ofSeconds(session.time_started);

const members = (session) => Object.entries(session.jobs ?? {});

const columns = [
  { label: "Session", cell: (session) => html`<span title=${session.session_id}>${shortened(session.description, 80) || session.session_id}</span>`, text: (session) => session.description || session.session_id },
  { label: "State", cell: (session) => state(session.status || "scheduled"), text: (session) => session.status },
  { label: "Result", cell: (session) => (session.result ? state(session.result) : "–"), text: (session) => session.result },
  { label: "Runs", wide: true, cell: (session) => schedule(session.schedule), text: (session) => schedule(session.schedule) },
  { label: "Tag", wide: true, cell: (session) => session.session_tag, text: (session) => session.session_tag },
  { label: "Started", cell: (session) => time(started(session)), text: started },
  { label: "Members", cell: (session) => html`<ul class="plain">${members(session).slice(0, 20).map(member)}</ul>${members(session).length > 20 ? `and ${members(session).length - 20} more` : nothing}`, text: (session) => members(session).length },
];

const member = ([id, job]) => html`<li><a href=${link(["jobs", id])}>${shortened(job.client_id, 40)}</a> ${state(job.result || job.status || "scheduled")}</li>`;
