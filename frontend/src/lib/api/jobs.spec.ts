import { expect, it, onTestFinished } from "vitest";
import { serve } from "../testServer";
import { listTemplates } from "./jobs";

it("follows a list to its last page, and takes what moved to a later page once", async () => {
  const templates = Array.from({ length: 149 }, (_, k) => ({ template_id: `tpl_${k}` }));
  const pages = [templates.slice(0, 100), templates.slice(99)];
  const asked: string[] = [];
  const end = await serve(({ url }, response) => {
    asked.push(url ?? "");
    response.end(JSON.stringify({ data: pages[asked.length - 1] }));
  });
  onTestFinished(end);
  expect(await listTemplates()).toEqual(templates);
  const query = (page: number) => `/api/v1/templates?page_size=100&page=${page}`;
  expect(asked).toEqual([query(1), query(2)]);
});
