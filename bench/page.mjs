// Each page in a browser that has nothing of it yet: `node page.mjs URL ROUNDS`. Prints a table; see bench/page.
import { createRequire } from "node:module";

const { chromium } = createRequire(import.meta.url)(process.env.FREEZER_TEST_PLAYWRIGHT);
const [url, rounds] = process.argv.slice(2);
const [MOST_MS, MOST_ROWS] = [300, 200];

const first = async (path, member) => {
  const document = await (await fetch(`${url}v2/demo/${path}`)).json();
  return document[member][0];
};
const [run, job, host, series, backup] = await Promise.all([
  first("report/runs?state=fail", "runs"), first("report/jobs", "jobs"), first("report/hosts", "hosts"), first("report/series", "series"), first("backups?limit=1", "backups"),
]);
const lists = ["overview", "problems", "hosts", "jobs", "runs", "backups", "sessions"];
const places = [
  ...lists, "runs?state=fail", "backups/all", `hosts/${host.client_id}`, `jobs/${job.job_id}`, `runs/${run.run_id}`, `backups/${series.series_id}`,
  `backups/${series.series_id}/${backup.backup_id}`, `backups?hostname=${series.hostname}`, ...lists.slice(0, 6).map((place) => `${place}?all=1`),
];

const median = (numbers) => numbers.sort((one, two) => one - two)[Math.floor(numbers.length / 2)];
const browser = await chromium.launch({ executablePath: process.env.FREEZER_TEST_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** Looks at a place as somebody does who was never there. */
async function look(place) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  const kinds = new Map();
  const sent = { page: 0, data: 0 };
  network.on("Network.requestWillBeSent", ({ requestId, request }) => kinds.set(requestId, /\/v2\/|\/session$/.test(request.url) ? "data" : "page"));
  network.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => { sent[kinds.get(requestId)] += encodedDataLength; });
  await page.goto(`${url}ui/#/${place}`);
  const complete = await page.waitForFunction(() => document.querySelector("main[id]") && !document.querySelector("[aria-busy=true]") && performance.now()).then((handle) => handle.jsonValue());
  const seen = await page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity, rows: document.querySelectorAll("tr").length,
    nodes: document.querySelectorAll("*").length, trouble: document.querySelector("[role=alert]")?.innerText ?? "",
    slowest: Math.max(...performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/v2/")).map((entry) => entry.duration)),
  }));
  await context.close();
  return { complete, ...seen, ...sent };
}

const line = (cells) => process.stdout.write(`| ${cells.join(" | ")} |\n`);
line(["page", "first paint, ms (least)", "complete, ms (least)", "slowest answer, ms (least)", "rows", "elements", "page, kB", "data, kB"]);
line(Array(8).fill("---"));
let faults = 0;
await look("overview");
for (const place of places) {
  const looks = [];
  for (let round = 0; round < Number(rounds); round += 1) looks.push(await look(place));
  const of = (member) => median(looks.map((one) => one[member]));
  const { rows, trouble } = looks[0];
  if (of("paint") > MOST_MS || rows > MOST_ROWS || trouble) faults += 1;
  // What else runs on the machine slows some of them.
  const time = (member) => `${Math.round(of(member))} (${Math.round(Math.min(...looks.map((one) => one[member])))})`;
  line([place, time("paint"), time("complete"), time("slowest"), rows, of("nodes"), (of("page") / 1000).toFixed(1), (of("data") / 1000).toFixed(1) + (trouble && ` ${trouble}`)]);
}
await browser.close();
process.exitCode = faults ? 1 : 0;
