/** Pages by address, on the history API. Links are plain <a href>. */

import { routeOf, withQuery } from "./routes";

const here = () => ({ path: location.pathname, query: location.search });

class Router {
  private at = $state.raw(here());
  route = $derived(routeOf(this.at.path));
  query = $derived(new URLSearchParams(this.at.query));

  /** Follow the address bar and same-page links; returns how to stop. */
  start(): () => void {
    const onPop = () => (this.at = here());
    const onClick = (event: MouseEvent) => {
      const target = linkToFollow(event);
      if (!target) return;
      event.preventDefault();
      this.go(target);
    };
    window.addEventListener("popstate", onPop);
    document.addEventListener("click", onClick);
    return () => {
      window.removeEventListener("popstate", onPop);
      document.removeEventListener("click", onClick);
    };
  }

  go(url: string): void {
    history.pushState(null, "", url);
    this.at = here();
    scrollTo(0, 0);
  }

  /** Change the query of this page without a new entry in the history. */
  setQuery(values: Record<string, string | null>): void {
    history.replaceState(null, "", location.pathname + withQuery(location.search, values));
    this.at = here();
  }
}

export const router = new Router();

function linkToFollow(event: MouseEvent): string | null {
  const link = (event.target as Element | null)?.closest?.("a[href]") as HTMLAnchorElement | null;
  if (!link || event.defaultPrevented || event.button !== 0) return null;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return null;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return null;
  if (link.hash && link.pathname === location.pathname) return null;
  return routeOf(link.pathname).page === "missing" ? null : link.pathname + link.search;
}
