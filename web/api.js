// Requests to this server, and to no other.

/** The address above the page, to which /v2 belongs. A proxy may have put a prefix before it. */
const root = new URL("../", document.baseURI);

/** An answer that is no success, or none at all (status 0). */
export class Failure extends Error {
  constructor(status, title, description, retryAfter) {
    super(description || title);
    this.status = status;
    this.title = title;
    /** Seconds, where the server says so. */
    this.retryAfter = retryAfter;
    /** Whether a change was refused, and what is shown is still as it was. */
    this.isOfChange = false;
  }
}

async function failure(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // A proxy's page: its status says enough.
  }
  const error = said.error ?? said;
  const after = Number(response.headers.get("Retry-After")) || undefined;
  return new Failure(response.status, error.title ?? response.statusText, error.description ?? error.message, after);
}

/** Sends a request and reads the JSON of its answer, if it has any. */
export async function ask(method, path, body) {
  // The session counts only beside this header, which no page of another origin can send.
  const headers = { Accept: "application/json", "X-Freezer-UI": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, root), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", cache: "no-store",
    });
  } catch {
    throw new Failure(0, "No answer", "The server cannot be reached.");
  }
  if (!response.ok) throw await failure(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** `name=value&…` of what is not empty; lists repeat their name. */
export function query(parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") search.append(name, one);
  }
  return search.toString();
}

/** The marker of the next page in an answer's `…_links`. */
export function nextMarker(links) {
  const next = links?.find((link) => link.rel === "next");
  return next && new URL(next.href, root).searchParams.get("marker");
}
