import { expect, it } from "vitest";
import { routeOf, withQuery } from "./routes";

it("names the page of an address", () => {
  expect(
    ["/", "/jobs", "/jobs/", "/jobs/job_1", "/jobs/job_1/x", "/docs"].map((path) => routeOf(path)),
  ).toEqual([
    { page: "home" },
    { page: "jobs" },
    { page: "jobs" },
    { page: "job", id: "job_1" },
    { page: "missing" },
    { page: "missing" },
  ]);
});

it("changes single values of a query", () => {
  expect(withQuery("?a=1&b=2", { a: null, c: "3" })).toBe("?b=2&c=3");
  expect(withQuery("?a=1", { a: "" })).toBe("");
});
