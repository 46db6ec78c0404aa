// One run, and where to look for why it ended so.
import { html, nothing } from "../vendor/lit-html.js";
import { Failure, ask } from "../api.js";
import { duration, utc } from "../format.js";
import { copyable, facts, state, time } from "../parts.js";
import { link } from "../route.js";
import { v2 } from "../session.js";

export const title = "Run";

export async function load({ path: [, id] }) {
  const run = await ask("GET", v2(`report/runs/${encodeURIComponent(id)}`));
  return { run, job: await jobOf(run) };
}

/** It may be deleted. */
async function jobOf(run) {
  try {
    return await ask("GET", v2(`jobs/${encodeURIComponent(run.job_id)}`));
  } catch (error) {
    if (error instanceof Failure && [403, 404].includes(error.status)) return null;
    throw error;
  }
}

const MEANINGS = {
  fail: "An action failed, after all its tries. Agents report no reason: the log on the host has it.",
  lost: "Its scheduler came back and knows no end: it was killed, or the host went down. What the agent had begun may be incomplete.",
  unreported: "The next run has started, and nobody said how this one ended: the service, Keystone or the network was down. The host's log has the result.",
  removed: "Its job was deleted while it ran; schedulers do not report such an end.",
  aborted: "It was broken off, as somebody asked.",
};

export function view({ run, job }) {
  return html`
    <p class="verdict">${state(run.state)} on <a href=${link("runs", { client_id: run.client_id })}>${run.client_id}</a></p>
    ${MEANINGS[run.state] ? html`<p>${MEANINGS[run.state]}</p>` : nothing}
    ${facts([
      ["Job", html`<a href=${link(["jobs", run.job_id])}>${run.description || run.job_id}</a>${job ? nothing : " (deleted, or not yours)"}`],
      ["Actions", run.actions.join(", ") || "–"],
      ["Started", time(run.started_at)], ["Ended", time(run.ended_at)], ["Took", duration(run.duration)],
      ["Attempts", run.attempts],
      ["Reported", html`${time(run.seen_started_at)} to ${time(run.seen_ended_at)}`],
      run.session_id && ["Session", html`<a href=${link("sessions")}>${run.session_id}</a>, tag ${run.session_tag}`],
    ])}
    ${["success", "running"].includes(run.state) ? nothing : where(run, job)}
    <p><a href=${link("runs", { job_id: run.job_id })}>All runs of this job</a></p>`;
}

/** The commands that show why, on the host. */
function where(run, job) {
  const minute = (at, change) => utc(new Date(Date.parse(at) + change * 60_000)).replace("Z", " UTC");
  const until = run.ended_at ?? run.seen_ended_at;
  const span = `--since '${minute(run.started_at, -1)}'${until ? ` --until '${minute(until, 1)}'` : ""}`;
  const logs = new Set((job?.job_actions ?? []).map((action) => action.freezer_action?.log_file).filter(Boolean));
  return html`<section><h2>Where to look</h2><p>On ${run.client_id}:</p>
    ${copyable(`journalctl -u freezer-scheduler ${span}`, "Copy command")}
    ${[...logs].map((file) => copyable(`less ${quoted(file)}`, "Copy command"))}</section>`;
}

/** As POSIX shells read it back. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);
