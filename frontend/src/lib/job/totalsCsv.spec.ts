import { expect, it } from "vitest";
import type { JobImage } from "../api/types";
import { totalsCsv } from "./totalsCsv";

const image = (values: Partial<JobImage>) =>
  ({
    ...{ status: "completed", count: 3, count_interval: [2, 4], count_source: "model" },
    ...{ needs_review: false, review_reason: null, error: null, by_type: { coin: 3 }, ...values },
  }) as JobImage;

it("has a line for each photo, also for those without a count", () => {
  const images = [
    image({ filename: 'a, "b".jpg' }),
    image({ filename: "c.jpg", count_source: "human", count: 30, count_interval: [30, 30] }),
    image({ filename: "d.jpg", needs_review: true, review_reason: "wide interval: 2 to 4" }),
    image({ filename: "=e.jpg", status: "cancelled", count: null, count_interval: null, by_type: null }),
  ];
  expect(totalsCsv({ images }).split("\r\n")).toEqual([
    "photo,count,low,high,source,needs_review,note,count:coin",
    '"a, ""b"".jpg",3,2,4,model,false,,3',
    "c.jpg,30,30,30,human,false,,30",
    "d.jpg,3,2,4,model,true,wide interval: 2 to 4,3",
    "'=e.jpg,,,,,false,cancelled,",
    "",
  ]);
});

const kindsOf = (images: JobImage[]) =>
  totalsCsv({ images })
    .split("\r\n")
    .map((line) => line.split(",").slice(7).join(","));

it("has a column for each kind of all photos, which leaves open what a bare number says of several", () => {
  const numbered: Partial<JobImage> = { count: 9, count_source: "human" };
  const images = [
    image({ by_type: { washer: 2, nut: 1 } }),
    image({ by_type: { washer: 2, nut: 1 }, ...numbered }),
    image({ by_type: { washer: 3 }, ...numbered }),
    image({ by_type: { 'M4 "hex"': 3 } }),
    image({ by_type: {}, count: 0 }),
  ];
  expect(kindsOf(images)).toEqual([
    '"count:M4 ""hex""",count:nut,count:washer',
    "0,1,2",
    ",,",
    ",,",
    "3,0,0",
    "0,0,0",
    "",
  ]);
});

it("gives the one kind of a job also what a person counted", () => {
  const images = [image({}), image({ by_type: {}, count: 12, count_source: "human" })];
  expect(kindsOf(images)).toEqual(["count:coin", "3", "12", ""]);
});
