// The frame of the page: who is here, which page is shown, and when its data are read again.
import { html, nothing, render } from "./vendor/lit-html.js";
import { Failure } from "./api.js";
import { duration } from "./format.js";
import { header } from "./header.js";
import { loginPage } from "./login.js";
import { pages } from "./pages.js";
import { here } from "./route.js";
import { enquire, forget, user } from "./session.js";

/** Between two readings while the page is visible. */
const REFRESH = 15_000;

/** What is shown: `loading`, `data` of a page, or the error of its last reading. */
const shown = { address: null, page: null, data: null, error: null, loading: true, why: null };
let turn = 0;
let timer;

function draw() {
  const page = shown.page;
  const count = pages.findings();
  document.title = user.session ? `${count ? `(${count}) ` : ""}${page?.title ?? ""} · freezer` : "Log in · freezer";
  render(user.session ? frame(page) : user.version ? loginPage(shown.why, () => update({ anew: true }), draw) : starting(), root());
}

/** Where the page is drawn. What the document has there is for the time until the scripts run. */
function root() {
  const element = document.getElementById("page");
  if (!("_$litPart$" in element)) element.replaceChildren();
  return element;
}

const starting = () => html`<main class="login"><h1 tabindex="-1">freezer</h1>${shown.error ? trouble(shown.error) : html`<p role="status">Loading…</p>`}</main>`;

const frame = (page) => html`
  <a class="skip" href="#main" @click=${(event) => { event.preventDefault(); focusHeading(); }}>To the content</a>
  ${header({ changed: () => update({ anew: true }), left: () => leave(null) })}
  <main id="main" aria-busy=${shown.loading}>
    <h1 tabindex="-1">${page.title}</h1>
    ${shown.error ? trouble(shown.error) : nothing}
    ${shown.data ? page.view(shown.data, act) : shown.error ? nothing : html`<p role="status">Loading…</p>`}
  </main>
  <dialog id="ask" aria-labelledby="question"><form method="dialog"><p id="question"></p><button value="yes"></button> <button value="no" class="quiet">Cancel</button></form></dialog>`;

/** What went wrong, in words that say what to do. */
function trouble(error) {
  const known = {
    0: "The server cannot be reached. It is tried again every few seconds.",
    403: "Your roles do not allow this in this project. Choose another project, or ask for the role reader.",
    404: "There is no such thing in this project. It may have been deleted, or belong to another project.",
    503: `The service, its database or Keystone is unavailable. It is tried again${error.retryAfter ? ` in ${duration(error.retryAfter)}` : ""}.`,
  };
  const words = known[error.status] ?? `${error.message.replace(/\.$/, "")}.`;
  const stale = shown.data && !error.isOfChange ? " What is shown below is older." : "";
  return html`<p class="notice bad" role="alert">✗ ${words}${stale}${error.status && error.title ? html` <small>${error.status} ${error.title}</small>` : nothing}</p>`;
}

/** Reads the data of the place in the address. `anew`: shows nothing of before meanwhile. */
async function update({ anew = false } = {}) {
  clearTimeout(timer);
  const mine = (turn += 1);
  const address = location.hash;
  const moved = address !== shown.address;
  if (moved || anew) Object.assign(shown, { address, page: pages.at(here().path), data: null, error: null });
  shown.loading = true;
  draw();
  let wait = REFRESH;
  try {
    if (!user.version) await enquire();
    if (user.session) {
      draw();
      const [data] = await Promise.all([shown.page.load(here()), pages.count()]);
      if (mine !== turn) return;
      Object.assign(shown, { data, error: null, why: null });
    }
  } catch (error) {
    if (mine !== turn) return;
    if (!(error instanceof Failure)) throw error;
    if (error.status === 401) return leave("Your session has ended. Please log in again.");
    shown.error = error;
    wait = Math.min(Math.max((error.retryAfter ?? 5) * 1000, 1000), REFRESH);
  } finally {
    if (mine === turn) {
      shown.loading = false;
      draw();
      if (moved) focusHeading();
      timer = setTimeout(refresh, wait);
    }
  }
}

/** The session is over. */
function leave(why) {
  forget();
  Object.assign(shown, { why, data: null, error: null, loading: false });
  draw();
  focusHeading();
}

/** Does something that changes the catalogue, and shows what became of it. */
async function act(change) {
  try {
    await change();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.status === 401) return leave("Your session has ended. Please log in again.");
    error.isOfChange = true;
    shown.error = error;
    return draw();
  }
  return update();
}

const focusHeading = () => document.querySelector("h1")?.focus({ preventScroll: true });
const refresh = () => { if (!document.hidden && (user.session || !user.version)) update(); };

addEventListener("hashchange", () => { scrollTo(0, 0); update(); });
document.addEventListener("visibilitychange", refresh);
update();
