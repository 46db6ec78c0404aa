// Who is logged in, and what they may do.
import { Failure, ask, query } from "./api.js";
import { here } from "./route.js";

/** login: "none" (a server for development) or "keystone"; session: null while nobody is logged in. */
export const user = { login: "keystone", session: null, refused: null, version: "", rules: {} };

async function take(document) {
  Object.assign(user, { session: null, refused: null, rules: {} }, document);
  if (user.login === "none") user.session = { user: { name: "developer" }, project: { id: remembered() ?? "demo" }, projects: [] };
  await readRules();
  if (user.login === "none") user.session.projects = await knownProjects();
}

/** Without Keystone, projects are those that have hosts. */
async function knownProjects() {
  try {
    const { projects } = await ask("GET", `${v2("report/summary")}?all_projects=true`);
    return projects.map(({ project_id: id }) => ({ id, name: id })).filter(({ id }) => id !== null);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [];
  }
}

/** Asks who is logged in. */
export const enquire = async () => take(await ask("GET", "ui/session"));

/** Logs in. The server keeps the token in a cookie that scripts cannot read. */
export async function logIn(form) {
  await take(await ask("POST", "ui/session", { ...form, project_id: remembered() }));
}

export async function logOut() {
  await ask("DELETE", "ui/session");
  forget();
}

/** Enters another project. */
export async function enter(project_id) {
  remember(project_id);
  await take(user.login === "none" ? { login: "none" } : await ask("PUT", "ui/session", { project_id }));
}

/** There is no session any more. */
export function forget() {
  user.session = null;
  user.rules = {};
}

/** The rules that pass in the project. The server decides; this only hides buttons that it would refuse. */
async function readRules() {
  if (!user.session) return;
  try {
    user.rules = (await ask("GET", v2("report/me"))).rules;
  } catch (error) {
    if (!(error instanceof Failure) || error.status === 401) throw error;
    user.rules = {};
  }
}

export const may = (rule) => user.rules[rule] === true;

/** Whether the lists are those of all projects. One acts in a project, after entering it. */
export const showsAll = () => here().query.get("all") === "1" && may("report:get_all_projects");

/** The path of a document of the project. */
export const v2 = (path) => `v2/${encodeURIComponent(user.session.project.id)}/${path}`;

/** A report of the project, or of all. */
export const report = (path, parameters = {}) =>
  ask("GET", `${v2(`report/${path}`)}?${query({ ...parameters, all_projects: showsAll() ? "true" : null })}`);

// The project of the last visit: no secret, and what would be chosen again. Browsers may keep nothing.
const KEY = "freezer-project";
function remembered() {
  try { return localStorage.getItem(KEY) ?? undefined; } catch { return undefined; }
}
function remember(project_id) {
  try { localStorage.setItem(KEY, project_id); } catch { /* it is chosen anew next time */ }
}
