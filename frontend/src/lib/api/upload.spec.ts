import { expect, it } from "vitest";
import { errorFromBody } from "./client";
import { shareOfEach } from "./upload";

it("spreads the bytes sent over the files in their order", () => {
  expect(shareOfEach([100, 50, 0, 50], 125)).toEqual([1, 0.5, 1, 0]);
  expect(shareOfEach([100], 300)).toEqual([1]);
});

it("keeps the server's words and its request id", () => {
  const body = JSON.stringify({ error: { code: "QUEUE_FULL", message: "Come back.", request_id: "req_1" } });
  expect(errorFromBody(503, body)).toMatchObject({
    code: "QUEUE_FULL",
    message: "Come back.",
    requestId: "req_1",
  });
});

it("has an answer for a body that is no JSON", () => {
  expect(errorFromBody(502, "<h1>Bad gateway</h1>")).toMatchObject({ status: 502, code: "UNKNOWN" });
});
