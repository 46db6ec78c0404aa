// The backups of one series, or all of the project, the newest first.
import { html } from "../vendor/lit-html.js";
import { ask, nextMarker, query as search } from "../api.js";
import { ofSeconds } from "../format.js";
import { name, state, table, time } from "../parts.js";
import { link } from "../route.js";
import { v2 } from "../session.js";

export const title = "Backups, one by one";

/** In the place of a series: all of the project. */
const ALL = "all";

export async function load({ path: [, id], query }) {
  const parameters = search({ limit: 50, marker: query.get("marker"), sort: query.get("sort") ?? "created_at:desc" });
  const answer = await ask("GET", `${v2(id === ALL ? "backups" : `report/series/${encodeURIComponent(id)}/backups`)}?${parameters}`);
  return { id, backups: answer.backups, next: nextMarker(answer.backups_links) };
}

export const view = ({ id, backups, next }) => html`
  ${backups.length ? table("Backups", columns(id), backups, next) : html`<p>No backup was recorded yet.</p>`}
  <p><a href=${link("backups")}>Backups by what they are of</a></p>`;

const about = (backup) => backup.backup_metadata ?? {};

/** When the agent began, by the clock of its host. */
const begun = (backup) => ofSeconds(about(backup).time_stamp);

/** What a backup is of. */
const thing = (backup) => {
  const members = about(backup);
  return members.path_to_backup || members.nova_inst_id || members.cinder_vol_id || members.cindernative_vol_id || members.glance_image_id || members.mode || "";
};

const columns = (id) => [
  { label: "Begun", sort: "created_at", first: "created_at:desc", cell: (backup) => html`<a href=${link(["backups", id, backup.backup_id])}>${begun(backup) ? time(begun(backup)) : name(backup.backup_id)}</a>`, text: begun },
  id !== ALL && { label: "Recorded", wide: true, cell: (backup) => time(backup.created_at, { ago: false }), text: (backup) => backup.created_at },
  { label: "State", cell: (backup) => state(backup.status || "available"), text: (backup) => backup.status },
  { label: "Host", cell: (backup) => name(about(backup).hostname ?? "–"), text: (backup) => about(backup).hostname },
  { label: "Name", cell: (backup) => name(about(backup).backup_name ?? "–"), text: (backup) => about(backup).backup_name },
  { label: "Of", cell: (backup) => name(thing(backup)), text: thing },
  { label: "In", wide: true, cell: (backup) => name([about(backup).storage, about(backup).container].filter(Boolean).join(" ")), text: (backup) => about(backup).container },
  { label: "Mode", wide: true, cell: (backup) => name(about(backup).mode ?? ""), text: (backup) => about(backup).mode },
].filter(Boolean);
