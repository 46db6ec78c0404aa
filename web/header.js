// What stands above every page.
import { html, nothing } from "./vendor/lit-html.js";
import { pages } from "./pages.js";
import { go, here, link } from "./route.js";
import { enter, logOut, may, user } from "./session.js";

/** `changed`: another project is entered; `left`: somebody has logged out. */
export function header({ changed, left }) {
  const now = here().path[0] || pages.first;
  const count = pages.findings();
  return html`
    ${user.login === "none" ? html`<p class="notice" role="status">A server for development: no login, everyone on this machine may do everything.</p>` : nothing}
    <header>
      <strong>freezer</strong>
      ${projectChoice(changed)}
      <nav aria-label="Pages">${pages.menu.map(([name, title]) => html`<a href=${link(name)} aria-current=${now === name ? "page" : nothing}>${title}${name === "problems" && count ? html` <b>${count}</b>` : nothing}</a>`)}</nav>
      <span class="user">
        <button type="button" class="quiet" @click=${turnTheme} aria-label="Light or dark">◐</button>
        ${user.login === "none" ? nothing : html`<span>${user.session.user.name}</span> <button type="button" class="quiet" @click=${async () => { try { await logOut(); } finally { left(); } }}>Log out</button>`}
      </span>
    </header>`;
}

const ALL = "*";

function projectChoice(changed) {
  const { project, projects } = user.session;
  const all = here().query.get("all") === "1";
  const choose = async (event) => {
    const chosen = event.currentTarget.value.trim();
    const { path } = here();
    if (chosen === ALL) return go(link(path[0] ?? "", { all: "1" }));
    if (!chosen) return undefined;
    await enter(chosen);
    // What is open belongs to the project before.
    const address = link(path[0] ?? "", { all: null });
    if (location.hash === address) changed(); else go(address);
    return undefined;
  };
  if (user.login === "none") {
    return html`<label>Project <input size="12" list="projects" .value=${all ? ALL : project.id} @change=${choose} title="The id of a project, or * for all" spellcheck="false"></label>
      <datalist id="projects"><option value=${ALL}>all projects</option>${projects.map((one) => html`<option value=${one.id}></option>`)}</datalist>`;
  }
  return html`<label>Project <select @change=${choose}>
    ${may("report:get_all_projects") ? html`<option value=${ALL} ?selected=${all}>All projects</option>` : nothing}
    ${projects.map((one) => html`<option value=${one.id} ?selected=${!all && one.id === project.id}>${one.name}</option>`)}
  </select></label>`;
}

/** The reader's choice wins over the system's. */
function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
