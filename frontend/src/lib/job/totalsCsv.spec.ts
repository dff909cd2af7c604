import { expect, it } from "vitest";
import type { JobImage } from "../api/types";
import { totalsCsv } from "./totalsCsv";

const image = (values: Partial<JobImage>) =>
  ({
    ...{ status: "completed", count: 3, count_interval: [2, 4], count_source: "model" },
    ...{ needs_review: false, review_reason: null, error: null, ...values },
  }) as JobImage;

it("has a line for each photo, also for those without a count", () => {
  const images = [
    image({ filename: 'a, "b".jpg' }),
    image({ filename: "c.jpg", count_source: "human", count: 30, count_interval: [30, 30] }),
    image({ filename: "d.jpg", needs_review: true, review_reason: "wide interval: 2 to 4" }),
    image({ filename: "=e.jpg", status: "cancelled", count: null, count_interval: null }),
  ];
  expect(totalsCsv({ images }).split("\r\n")).toEqual([
    "photo,count,low,high,source,needs_review,note",
    '"a, ""b"".jpg",3,2,4,model,false,',
    "c.jpg,30,30,30,human,false,",
    "d.jpg,3,2,4,model,true,wide interval: 2 to 4",
    "'=e.jpg,,,,,false,cancelled",
    "",
  ]);
});
