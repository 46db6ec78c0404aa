// A real browser, and what every page of it must not do.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const { chromium } = require(process.env.FREEZER_TEST_PLAYWRIGHT);
const axe = readFileSync(join(process.env.FREEZER_TEST_AXE, "axe.min.js"), "utf8");
const shots = process.env.FREEZER_TEST_SHOTS ?? "target/test-servers/ui";
mkdirSync(shots, { recursive: true });

/** How a page is looked at. */
export const looks = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 800 }, colorScheme: "light", hasTouch: true },
};

export const launch = () => chromium.launch({ executablePath: process.env.FREEZER_TEST_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/**
 * A page on `url`. `faults` collects what is wrong: errors of scripts, what the browser complains about (the content security policy,
 * too), requests to other hosts, and dialogs. Answers of these statuses are expected.
 */
export async function open(browser, url, { look = "light", expected = [] } = {}) {
  const context = await browser.newContext({ ...looks[look], timezoneId: "Europe/Berlin", locale: "en-GB", acceptDownloads: true, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.stack}`));
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("console", (message) => {
    const answered = /status of (\d+)|net::ERR_/.exec(message.text());
    const isExpected = answered && expected.includes(answered[1] ? Number(answered[1]) : 0);
    if (["error", "warning"].includes(message.type()) && !isExpected) faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(url).origin) faults.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.addInitScript(complainOfAbsentMembers);
  page.faults = faults;
  page.place = async (address) => {
    // Without leaving the page, as a reader does.
    await page.evaluate((hash) => { location.hash = hash; }, address);
    await settled(page);
  };
  await page.goto(url);
  await settled(page);
  return page;
}

/**
 * Runs in the browser: reports have all of their members always, so that who reads another one has misspelt it. Metadata and jobs are
 * what somebody has sent.
 */
function complainOfAbsentMembers() {
  const reports = new Set();
  const [fetched, parsed] = [fetch, JSON.parse];
  window.fetch = async (...request) => {
    const answer = await fetched(...request);
    const read = answer.text.bind(answer);
    if (answer.ok && answer.url.includes("/report/")) answer.text = async () => { const text = await read(); reports.add(text); return text; };
    return answer;
  };
  const isFree = (member) => typeof member === "symbol" || /^(backup_metadata|job|rules)$|_links$|^_\$lit|^(toJSON|then|item|render)$/.test(member);
  const watched = (value) => (value && typeof value === "object" ? new Proxy(value, {
    get(whole, member) {
      if (!(member in whole) && !isFree(member)) console.error(`a report has no ${member}: ${Object.keys(whole)}`);
      return isFree(member) ? whole[member] : watched(whole[member]);
    },
  }) : value);
  JSON.parse = (text, ...rest) => (reports.has(text) ? watched(parsed(text, ...rest)) : parsed(text, ...rest));
}

/** Waits until the page has what it asked for. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("[aria-busy=true]") && !/Loading/.test(document.querySelector("main").innerText));
}

/** Keeps a picture. */
export const picture = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });

/** axe runs beside the page's own scripts, so that the page's policy stays as it is; once for as long as the page is not loaded anew. */
async function besides(page) {
  const session = page.axe?.session ?? await page.context().newCDPSession(page);
  const { frameTree: { frame } } = await session.send("Page.getFrameTree");
  if (page.axe?.loader !== frame.loaderId) {
    const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frame.id, worldName: "axe" });
    await session.send("Runtime.evaluate", { contextId, expression: axe });
    page.axe = { session, loader: frame.loaderId, contextId };
  }
  return page.axe;
}

/** What holds for every page in every look. */
export async function isSound(page, name) {
  assert.deepEqual(page.faults, [], name);
  const sizes = await page.evaluate(() => ({
    rows: document.querySelectorAll("tr").length, wide: document.documentElement.scrollWidth - innerWidth,
    inline: [...document.querySelectorAll("body [style]:not([style=\"\"]), script:not([src]), body style")].map((element) => element.outerHTML.slice(0, 300)),
  }));
  const { session, contextId } = await besides(page);
  const { result } = await session.send("Runtime.evaluate", {
    contextId, awaitPromise: true, returnByValue: true,
    expression: "axe.run(document).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)} ${n.any.map((c) => c.message)}`)))",
  });
  assert.deepEqual(result.value, [], `${name}: axe-core`);
  assert.ok(sizes.rows <= 200, `${name}: ${sizes.rows} rows`);
  assert.ok(sizes.wide <= 0, `${name} is ${sizes.wide} pixels wider than the screen`);
  assert.deepEqual(sizes.inline, [], `${name}: inline styles or scripts`);
}
