// One backup: what is known of it, and how it is restored.
import { html, nothing } from "../vendor/lit-html.js";
import { ask, query as search } from "../api.js";
import { masked, ofSeconds, shortened, text } from "../format.js";
import { confirmed, copyable, facts, filters, textFilter, time } from "../parts.js";
import { go, here, link } from "../route.js";
import { may, v2 } from "../session.js";

export const title = "Backup";

export async function load({ path: [, , id], query }) {
  const path = search({ path: query.get("path") ?? "/restore" });
  const [backup, restore] = await Promise.all([
    ask("GET", v2(`backups/${encodeURIComponent(id)}`)),
    ask("GET", `${v2(`report/backups/${encodeURIComponent(id)}/restore`)}?${path}`),
  ]);
  return { backup, restore };
}

const BASES = {
  run_end: "the end of the run that made it", created_at: "when it was recorded", next_backup: "just before the next backup", backup_id: "its own id", newest: "the newest",
};

/** Of what it is, and when the agent says that it was made. */
function verdict({ backup_metadata: metadata }) {
  return html`<p class="verdict">${shortened(metadata?.backup_name ?? "a backup", 200)} of ${shortened(metadata?.hostname ?? "?", 200)}, ${time(ofSeconds(metadata?.time_stamp))}</p>`;
}

export const view = ({ backup, restore }, act) => html`
  ${verdict(backup)}
  <h2>Restore</h2>
  ${filters([textFilter("path", "Into the folder", "/restore")], "Show")}
  ${copyable(restore.command, "Copy command")}
  <p>To be run on the host. ${restore.until ? html`It takes the newest that is not younger than ${time(restore.until, { ago: false })}: ${BASES[restore.basis] ?? restore.basis}.` : html`It takes ${BASES[restore.basis] ?? restore.basis}.`}
    ${restore.missing.length ? html`<span class="state warn">! The record lacks ${restore.missing.join(", ")}: add them.</span>` : nothing}</p>
  <p>${may("jobs:create") && restore.job ? html`<button type="button" @click=${() => asJob(restore, act)}>Restore as a job</button> ` : nothing}
    ${may("backups:delete") ? html`<button type="button" class="quiet" @click=${() => remove(backup, act)}>Delete the record</button>` : nothing}</p>
  ${backup.backup_metadata?.job_id ? html`<p><a href=${link(["jobs", text(backup.backup_metadata.job_id)])}>The job that made it</a></p>` : nothing}
  <h2>Record</h2>
  ${facts(Object.entries(masked({ backup_id: backup.backup_id, status: backup.status || "available", ...backup.backup_metadata })).filter(([, value]) => ![null, undefined, ""].includes(value)).map(([name, value]) => [shortened(name, 60), html`<span class="value">${shortened(text(value), 2000)}</span>`]))}`;

/** Its scheduler runs it at its next poll. */
async function asJob(restore, act) {
  if (!(await confirmed(`Restore on ${shortened(restore.job.client_id, 60)}, into ${here().query.get("path") ?? "/restore"}? Files that are there are overwritten.`, "Restore"))) return;
  await act(async () => {
    const { job_id } = await ask("POST", v2("jobs"), restore.job);
    await ask("POST", v2(`jobs/${encodeURIComponent(job_id)}/event`), { start: null });
    go(link(["jobs", job_id]));
  });
}

async function remove(backup, act) {
  if (!(await confirmed("Delete the record of this backup? The data stay where they are; nothing here will know of them.", "Delete the record"))) return;
  await act(async () => {
    await ask("DELETE", v2(`backups/${encodeURIComponent(backup.backup_id)}`));
    go(link(here().path.slice(0, 2)));
  });
}
