// How values are shown.

const pad = (number) => String(number).padStart(2, "0");

/** The time in ISO 8601 of seconds since 1970, as schedulers and agents give it; null where it is none. */
export function ofSeconds(value) {
  const seconds = Number(value);
  return seconds > 0 && seconds < 8.64e12 ? new Date(seconds * 1000).toISOString() : null;
}

/** `2026-11-30 02:14:05Z` of a time in ISO 8601. */
export const utc = (time) => new Date(time).toISOString().replace("T", " ").replace(/\.\d+/, "");

/** The same in the time zone of the reader, with its offset. */
export function local(time) {
  const t = new Date(time);
  const minutes = -t.getTimezoneOffset();
  const offset = `${minutes < 0 ? "−" : "+"}${pad(Math.trunc(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())} ${offset}`;
}

/** `3d 4h`, `6m 12s`: the two largest units of a number of seconds. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const sign = seconds < 0 ? "−" : "";
  let rest = Math.round(Math.abs(seconds));
  const parts = [];
  for (const [unit, size] of Object.entries({ d: 86400, h: 3600, m: 60, s: 1 })) {
    const number = Math.trunc(rest / size);
    rest %= size;
    if (number > 0 || (unit === "s" && parts.length === 0)) parts.push(`${number}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return sign + parts.join(" ");
}

/** How long ago, or in how long. */
export function relative(time) {
  const seconds = (Date.now() - new Date(time).getTime()) / 1000;
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

/** `every day`, `every 6h`. */
export function every(period) {
  if (!period) return "–";
  return { 60: "every minute", 3600: "every hour", 86400: "every day", 604800: "every week" }[period] ?? `every ${duration(period)}`;
}

/** A `job_schedule` in words. */
export function schedule(schedule) {
  if (!schedule) return "once";
  if (typeof schedule.schedule_interval === "string" && schedule.schedule_interval) return `every ${schedule.schedule_interval.replace(/^1 +(\w+)s$/, "$1")}`;
  const fields = ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];
  const given = fields.filter((field) => schedule[`schedule_${field}`] !== undefined);
  if (given.length > 0) return given.map((field) => `${field.replaceAll("_", " ")} ${schedule[`schedule_${field}`]}`).join(", ");
  return schedule.schedule_date ? `once, at ${schedule.schedule_date}` : "once";
}

/** Names of members whose values are nobody's business. */
const SECRET = /pass|secret|token|proxy|credential|private|(^|_)(access_)?key$/i;

/** A copy in which the values of secrets are hidden, at any depth. */
export function masked(value, name = "") {
  if (Array.isArray(value)) return value.map((item) => masked(item, name));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner, SECRET.test(key) ? key : name)]));
  }
  return name && value !== null && value !== "" ? "••••••" : value;
}

/** Any value as text. */
export const text = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** No text of a catalogue makes a table unusable. */
export function shortened(value, most = 120) {
  const whole = text(value);
  return whole.length > most ? `${whole.slice(0, most)}…` : whole;
}
