// Pieces that several pages show.
import { html, nothing } from "./vendor/lit-html.js";
import { duration, local, relative, shortened, text, utc } from "./format.js";
import { changed, go, here, link } from "./route.js";
import { user } from "./session.js";

/** What each word of the API looks like: a sign beside the word, so that nothing is said by colour alone. */
const SIGNS = {
  success: ["✓", "good"], available: ["✓", "good"], fine: ["✓", "good"], alive: ["✓", "good"], fail: ["✗", "bad"], failing: ["✗", "bad"], overdue: ["✗", "bad"],
  never: ["✗", "bad"], no_record: ["✗", "bad"], error: ["✗", "bad"], running: ["▶", "busy"], scheduled: ["◷", "calm"], unknown: ["?", "calm"],
  completed: ["✓", "calm"], stop: ["■", "calm"], removed: ["–", "calm"], active: ["●", "calm"], creating: ["▶", "busy"], aborted: ["■", "warn"],
};

/** A word of the API with its sign. */
export function state(word, severity) {
  const [sign, tone] = SIGNS[word] ?? (severity === "red" ? ["✗", "bad"] : ["!", "warn"]);
  return html`<span class="state ${tone}"><span aria-hidden="true">${sign}</span> ${shortened(word, 40).replaceAll("_", " ")}</span>`;
}

/** A name that stays in one line; the whole one when pointed at. */
export const name = (value, most = 40) => html`<span class="name" title=${text(value).length > most ? shortened(value, 500) : nothing}>${shortened(value, most)}</span>`;

/** A project by its name, where the reader knows it, or the beginning of its id; the whole id when pointed at. */
export function project(id) {
  const known = user.session?.projects.find((one) => one.id === id)?.name;
  return html`<span class="name" title=${text(id)}>${shortened(known ?? id, known ? 40 : 12)}</span>`;
}

/** A time in UTC, with how long ago; in the reader's own time when pointed at. */
export function time(value, { ago = true } = {}) {
  if (!value || Number.isNaN(Date.parse(value))) return html`<span class="nil">–</span>`;
  return html`<time datetime=${value} title="${local(value)} here">${utc(value)}${ago ? html` <small>${relative(value)}</small>` : nothing}</time>`;
}

/** A time as how long ago, or in how long, for tables with many columns; in full when pointed at. */
export function ago(value) {
  if (!value || Number.isNaN(Date.parse(value))) return html`<span class="nil">–</span>`;
  return html`<time datetime=${value} title="${utc(value)}, ${local(value)} here">${relative(value)}</time>`;
}

/** The last runs of a job as signs, the newest at the right. */
export function strip(runs, address) {
  if (runs.length === 0) return html`<span class="nil">no run yet</span>`;
  const counts = {};
  for (const run of runs) counts[run.state] = (counts[run.state] ?? 0) + 1;
  const words = Object.entries(counts).map(([word, number]) => `${number} ${word}`).join(", ");
  const sign = (run) => {
    const [sign, tone] = SIGNS[run.state] ?? ["!", "warn"];
    return html`<i class=${tone} title="${run.state}, ${utc(run.started_at)}, ${duration(run.duration)}">${sign}</i>`;
  };
  return html`<a class="strip" href=${address} aria-label="Last ${runs.length} runs: ${words}">${[...runs].reverse().map(sign)}</a>`;
}

/** Members and values. */
export const facts = (pairs) => html`<dl>${pairs.filter(Boolean).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** A text with a button that copies it. */
export function copyable(content, label) {
  const copy = async (event) => {
    const button = event.currentTarget;
    try {
      await navigator.clipboard.writeText(content);
      button.textContent = "Copied";
    } catch {
      // Without TLS browsers give no clipboard: the text is selected instead.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  };
  return html`<div class="copy"><pre tabindex="0">${content}</pre><button type="button" @click=${copy}>${label}</button></div>`;
}

/** The heading of a column; where the server can sort by it, a link that turns the order. */
function heading(column) {
  if (!column.sort) return html`<th scope="col" class=${column.wide ? "wide" : ""}>${column.label}</th>`;
  const order = here().query.get("sort") ?? column.first;
  const [key, direction] = order?.split(":") ?? [];
  const is = key === column.sort ? (direction === "asc" ? "ascending" : "descending") : "none";
  const next = `${column.sort}:${is === "descending" ? "asc" : "desc"}`;
  const sign = { ascending: "▲", descending: "▼", none: "" }[is];
  return html`<th scope="col" aria-sort=${is} class=${column.wide ? "wide" : ""}><a href=${changed({ sort: next })}>${column.label} <span aria-hidden="true">${sign}</span></a></th>`;
}

/**
 * A table with its pages and its CSV. A column has label, cell(row), text(row) for the CSV, and where it applies sort (what the server
 * sorts by), first (the order without one) and wide (left out on phones).
 */
export function table(name, columns, rows, next) {
  const isFirst = !here().query.has("marker");
  return html`
    <div class="scroll" role="region" aria-label=${name} tabindex="0"><table>
      <thead><tr>${columns.map(heading)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${columns.map((column) => html`<td class=${column.wide ? "wide" : ""}>${column.cell(row)}</td>`)}</tr>`)}</tbody>
    </table></div>
    <nav class="pages" aria-label="Pages of ${name}">
      ${isFirst ? nothing : html`<a href=${changed({})}>First page</a>`}
      ${next ? html`<a href=${changed({ marker: next })}>Next page</a>` : nothing}
      <span>${rows.length} shown</span>
      <button type="button" class="quiet" @click=${() => download(name, columns, rows)}>CSV</button>
    </nav>`;
}

/** A cell as a spreadsheet reads it: as text, never as a formula. */
const field = (value) => `"${text(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;

function download(name, columns, rows) {
  const shown = columns.filter((column) => column.text);
  const lines = [shown.map((column) => column.label), ...rows.map((row) => shown.map((column) => column.text(row)))];
  const file = new Blob([lines.map((line) => line.map(field).join(",")).join("\r\n"), "\r\n"], { type: "text/csv" });
  const anchor = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: `freezer-${name.toLowerCase()}.csv` });
  anchor.click();
  URL.revokeObjectURL(anchor.href);
}

/** A form whose fields are parameters of the address. */
export function filters(fields, verb = "Filter") {
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const names = new Set([...event.currentTarget.elements].map((element) => element.name).filter(Boolean));
    go(changed(Object.fromEntries([...names].map((name) => [name, form.getAll(name).map((value) => String(value).trim())]))));
  };
  return html`<form class="filters" role="search" @submit=${submit}>${fields}<button>${verb}</button><a href=${link(here().path)}>Clear</a></form>`;
}

/** A field for a text. */
export const textFilter = (name, label, hint = "") => html`<label>${label} <input name=${name} placeholder=${hint} .value=${here().query.get(name) ?? ""} autocomplete="off" spellcheck="false"></label>`;

/** Boxes for several words. */
export function choices(name, label, words) {
  const chosen = here().query.getAll(name);
  return html`<fieldset><legend>${label}</legend>${words.map((word) => html`<label><input type="checkbox" name=${name} value=${word} .checked=${chosen.includes(word)}> ${word.replaceAll("_", " ")}</label>`)}</fieldset>`;
}

/** Asks before something is done; the answer is true or false. */
export function confirmed(question, verb) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("ask"));
  dialog.querySelector("p").textContent = question;
  dialog.querySelector("button[value=yes]").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
