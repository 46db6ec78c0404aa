// What can be restored: the records of backups, the newest first.
import { html } from "../vendor/lit-html.js";
import { ask, nextMarker, query as search } from "../api.js";
import { name, state, table, time } from "../parts.js";
import { link } from "../route.js";
import { v2 } from "../session.js";

export const title = "Backups";

export async function load({ query }) {
  const parameters = search({ limit: 50, marker: query.get("marker"), sort: query.get("sort") ?? "created_at:desc" });
  const answer = await ask("GET", `${v2("backups")}?${parameters}`);
  return { backups: answer.backups, next: nextMarker(answer.backups_links) };
}

export const view = ({ backups, next }) => html`
  ${backups.length ? table("Backups", columns, backups, next) : html`<p>No backup was recorded yet. Agents record each one when it is made.</p>`}
  <p class="faint">Agents do not report sizes.</p>`;

const about = (backup) => backup.backup_metadata ?? {};

/** What a backup is of. */
const thing = (backup) => {
  const members = about(backup);
  return members.path_to_backup || members.nova_inst_id || members.cinder_vol_id || members.cindernative_vol_id || members.glance_image_id || members.mode || "";
};

/** When the agent began, by the clock of its host. */
function begun(backup) {
  const seconds = Number(about(backup).time_stamp);
  return seconds > 0 && seconds < 8.64e12 ? new Date(seconds * 1000).toISOString() : null;
}

export const columns = [
  { label: "Begun", sort: "created_at", first: "created_at:desc", cell: (backup) => html`<a href=${link(["backups", backup.backup_id])}>${begun(backup) ? time(begun(backup)) : backup.backup_id.slice(0, 8)}</a>`, text: begun },
  { label: "Host", cell: (backup) => name(about(backup).hostname ?? "–"), text: (backup) => about(backup).hostname },
  { label: "Name", cell: (backup) => name(about(backup).backup_name ?? "–"), text: (backup) => about(backup).backup_name },
  { label: "Of", cell: (backup) => name(thing(backup)), text: thing },
  { label: "State", cell: (backup) => state(backup.status || "available"), text: (backup) => backup.status },
  { label: "In", wide: true, cell: (backup) => name(`${about(backup).storage ?? ""} ${about(backup).container ?? ""}`), text: (backup) => about(backup).container },
  { label: "Mode", wide: true, cell: (backup) => name(about(backup).mode ?? ""), text: (backup) => about(backup).mode },
];
