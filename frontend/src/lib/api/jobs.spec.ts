import { afterEach, expect, it, vi } from "vitest";
import { listTemplates } from "./jobs";

afterEach(() => vi.unstubAllGlobals());

it("follows a list to its last page, and takes what moved to a later page once", async () => {
  const templates = Array.from({ length: 149 }, (_, k) => ({ template_id: `tpl_${k}` }));
  const pages = [templates.slice(0, 100), templates.slice(99)];
  const asked: string[] = [];
  vi.stubGlobal("fetch", (path: string) => {
    asked.push(path);
    return Promise.resolve(Response.json({ data: pages[asked.length - 1] }));
  });
  expect(await listTemplates()).toEqual(templates);
  const query = (page: number) => `/api/v1/templates?page_size=100&page=${page}`;
  expect(asked).toEqual([query(1), query(2)]);
});
