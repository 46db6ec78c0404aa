// Runs by hour or by day, as stacked bars. The table behind them says the same in numbers.
import { html, nothing, svg } from "./vendor/lit-html.js";

/** From the ground up, so that what went wrong is seen on top of what went well. */
const STATES = ["success", "running", "removed", "aborted", "unreported", "lost", "fail"];
const WIDTH = 600;
const HEIGHT = 90;

/** A bar for each row; `label(row)` is its name, `address(row, state)` where its runs are. Only some names are written. */
export function bars(title, rows, label, address) {
  const total = (row) => STATES.reduce((sum, state) => sum + (row[state] ?? 0), 0);
  const most = Math.max(1, ...rows.map(total));
  const step = WIDTH / Math.max(rows.length, 1);
  const bar = (row, at) => {
    let top = HEIGHT;
    return STATES.filter((state) => row[state]).map((state) => {
      // What happened once among thousands is still seen.
      const height = Math.max((row[state] / most) * HEIGHT, 2);
      top -= height;
      return svg`<rect class=${`bar ${state}`} x=${at * step + 1} y=${top} width=${step - 2} height=${height}><title>${label(row)}: ${row[state]} ${state}</title></rect>`;
    });
  };
  const every = Math.ceil(rows.length / 6);
  return html`<figure>
    <figcaption>${title}</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT + 18}" role="img" aria-label="${title}: ${rows.reduce((sum, row) => sum + total(row), 0)} runs, ${rows.reduce((sum, row) => sum + (row.fail ?? 0), 0)} failed">
      ${rows.map(bar)}
      ${rows.map((row, at) => (at % every === 0 ? svg`<text x=${at * step + 1} y=${HEIGHT + 14}>${label(row)}</text>` : nothing))}
    </svg>
    <details><summary>In numbers</summary><div class="scroll" role="region" tabindex="0" aria-label=${title}><table>
      <thead><tr><th scope="col">Time</th>${STATES.map((state) => html`<th scope="col">${state}</th>`)}</tr></thead>
      <tbody>${rows.filter(total).map((row) => html`<tr><th scope="row">${label(row)}</th>${STATES.map((state) => html`<td>${row[state] ? html`<a href=${address(row, state)}>${row[state]}</a>` : 0}</td>`)}</tr>`)}</tbody>
    </table></div></details></figure>`;
}
