// Which pages there are.
import * as runs from "./pages/runs.js";
import * as run from "./pages/run.js";
import * as jobs from "./pages/jobs.js";
import * as job from "./pages/job.js";
import * as sessions from "./pages/sessions.js";

const lists = { jobs, runs, sessions };
const details = { runs: run, jobs: job };
const menu = Object.entries(lists).map(([name, page]) => [name, page.title]);

export const pages = {
  menu,
  first: "runs",
  /** The page of a path. */
  at: ([name, id]) => (id === undefined ? lists[name] : details[name]) ?? lists.runs,
  findings: () => 0,
  count: async () => {},
};
