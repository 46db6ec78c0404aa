// Which pages there are.
import { report } from "./session.js";
import * as overview from "./pages/overview.js";
import * as problems from "./pages/problems.js";
import * as hosts from "./pages/hosts.js";
import * as host from "./pages/host.js";
import * as jobs from "./pages/jobs.js";
import * as job from "./pages/job.js";
import * as runs from "./pages/runs.js";
import * as run from "./pages/run.js";
import * as series from "./pages/series.js";
import * as seriesBackups from "./pages/series_backups.js";
import * as backup from "./pages/backup.js";
import * as sessions from "./pages/sessions.js";

/** By the first part of the address: the list, one of its rows, and one of that row's. */
const found = {
  overview: [overview], problems: [problems], hosts: [hosts, host], jobs: [jobs, job], runs: [runs, run], backups: [series, seriesBackups, backup], sessions: [sessions],
};
let findings = 0;

export const pages = {
  menu: Object.entries(found).map(([name, [page]]) => [name, page.title]),
  first: "overview",
  /** The page of a path. */
  at: (path) => found[path[0]]?.[path.length - 1] ?? overview,
  /** How many problems there are, for the title and the menu. */
  findings: () => findings,
  count: async () => {
    const { red, amber } = await report("summary");
    findings = red + amber;
  },
};
