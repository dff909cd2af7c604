/** Addresses of the pages: pure functions, so that they can be tested. */

type Route = { page: "home" } | { page: "jobs" } | { page: "job"; id: string } | { page: "missing" };

/** Return the page that an address names. */
export function routeOf(pathname: string): Route {
  const path = pathname.replace(/\/+$/, "");
  if (path === "") return { page: "home" };
  if (path === "/jobs") return { page: "jobs" };
  const id = /^\/jobs\/([\w-]+)$/.exec(path)?.[1];
  return id ? { page: "job", id } : { page: "missing" };
}

/** Return a query string with some values changed; an empty one is left out. */
export function withQuery(search: string, values: Record<string, string | null>): string {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  return query.size ? `?${query}` : "";
}
