// Where the reader is: everything is in the address behind #, so that it can be sent to a colleague.

/** `#/jobs/ID?limit=…` as { path: ["jobs", "ID"], query }. */
export function here() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean);
  return { path: parts.map((part) => { try { return decodeURIComponent(part); } catch { return part; } }), query: new URLSearchParams(search) };
}

/** The address of a place. What is null or empty is left out; lists repeat their name. All projects stay all projects. */
export function link(path, parameters = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries({ all: here().query.get("all"), ...parameters })) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") search.append(name, one);
  }
  const text = search.toString();
  return `#/${[path].flat().map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** This place with other parameters. Another filter or order begins at the first page. */
export function changed(parameters) {
  const { path, query } = here();
  const now = { marker: null };
  for (const name of query.keys()) if (name !== "marker") now[name] = query.getAll(name);
  return link(path, { ...now, ...parameters });
}

/** Goes there. */
export const go = (address) => { location.hash = address; };
