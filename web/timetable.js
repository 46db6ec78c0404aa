// Runs as bars over the time of a list: which ran together, which took long.
import { html, svg } from "./vendor/lit-html.js";
import { duration, shortened, utc } from "./format.js";

const WIDTH = 1000;
const ROW = 18;
const NAMES = 220;

/** A row for each client, a bar for each run. The table below it says the same in words. */
export function timetable(runs) {
  const spans = runs.map((run) => {
    const from = Date.parse(run.started_at);
    const to = run.ended_at ? Date.parse(run.ended_at) : run.state === "running" ? Date.now() : from;
    return { run, from, to: Math.max(to, from) };
  }).filter((span) => !Number.isNaN(span.from));
  if (spans.length < 2) return "";
  const first = Math.min(...spans.map((span) => span.from));
  const last = Math.max(...spans.map((span) => span.to), first + 60_000);
  const x = (at) => NAMES + ((at - first) / (last - first)) * (WIDTH - NAMES - 4);
  const clients = [...new Set(runs.map((run) => run.client_id))].sort();
  const height = clients.length * ROW + 22;
  const bar = ({ run, from, to }) => {
    const y = clients.indexOf(run.client_id) * ROW + 3;
    return svg`<rect class=${`bar ${run.state}`} x=${x(from)} y=${y} width=${Math.max(x(to) - x(from), 3)} height=${ROW - 6} rx="2"><title>${run.client_id}: ${run.state}, ${utc(run.started_at)}, ${duration(run.duration)}</title></rect>`;
  };
  const mark = (at) => svg`<line x1=${x(at)} x2=${x(at)} y1="0" y2=${height - 18}/><text x=${x(at)} y=${height - 4} text-anchor="middle">${label(at, last - first)}</text>`;
  return html`<details open class="timetable"><summary>Timetable (UTC)</summary>
    <svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Timetable of ${spans.length} runs of ${clients.length} clients, ${utc(first)} to ${utc(last)}">
      ${marks(first, last).map(mark)}
      ${clients.map((client, at) => svg`<text x=${NAMES - 8} y=${at * ROW + 14} text-anchor="end">${shortened(client, 30)}</text>`)}
      ${spans.map(bar)}
    </svg></details>`;
}

const label = (at, span) => (span > 3 * 86_400_000 ? utc(at).slice(5, 10) : utc(at).slice(11, 16));

/** About eight round times. */
function marks(first, last) {
  const steps = [1, 5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * 60_000);
  const step = steps.find((size) => (last - first) / size <= 8) ?? Math.ceil((last - first) / 8);
  const found = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) found.push(at);
  return found;
}
