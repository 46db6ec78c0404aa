// Which pages there are.
import * as jobs from "./pages/jobs.js";
import * as job from "./pages/job.js";
import * as runs from "./pages/runs.js";
import * as run from "./pages/run.js";
import * as backups from "./pages/backups.js";
import * as backup from "./pages/backup.js";
import * as sessions from "./pages/sessions.js";

/** By the first part of the address: the list, and one of its rows. */
const found = { jobs: [jobs, job], runs: [runs, run], backups: [backups, backup], sessions: [sessions] };

export const pages = {
  menu: Object.entries(found).map(([name, [page]]) => [name, page.title]),
  first: "jobs",
  /** The page of a path. */
  at: ([name, ...ids]) => found[name]?.[ids.length] ?? jobs,
  findings: () => 0,
  count: async () => {},
};
