import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { RecountRequest } from "../api/jobs";
import type { JobImage, RecountedImage } from "../api/types";
import { CorrectionsOffer } from "./correctionsOffer.svelte";

let asked: RecountRequest[];
let left: Partial<RecountedImage>[];
let offer: CorrectionsOffer;
const photo = (file_id: string, from_corrections = false) =>
  ({ file_id, version: 2, from_corrections }) as JobImage;

beforeEach(() => {
  asked = [];
  left = [
    { file_id: "good", version: 1, doubt: null },
    { file_id: "odd", version: 1, doubt: "nothing would be left" },
  ];
  vi.stubGlobal("fetch", (_url: string, { body }: { body: string }) => {
    asked.push(JSON.parse(body) as RecountRequest);
    return Promise.resolve(new Response(JSON.stringify({ data: { images: left } })));
  });
  offer = new CorrectionsOffer("job_1");
});

afterEach(() => vi.unstubAllGlobals());

it("leaves doubtful photos out until a person chooses them", async () => {
  await offer.preview();
  expect(offer.chosen).toEqual(["good"]);
  await offer.apply([], async () => undefined);
  expect(asked.at(-1)).toMatchObject({ dry_run: false, from_corrections: true, file_ids: ["good"] });
});

it("names no photos where all are chosen, so that the job learns as a whole", async () => {
  await offer.preview();
  offer.choose("odd", true);
  await offer.apply([], async () => undefined);
  expect(asked.at(-1)).not.toHaveProperty("file_ids");
  expect(asked.at(-1)?.versions).toEqual({ good: 1, odd: 1 });
});

it("lets a person leave out any photo", async () => {
  await offer.preview();
  offer.choose("good", false);
  expect(offer.chosen).toEqual([]);
});

it("offers nothing until it is known whether there is more to learn, and asks that once", async () => {
  left = [];
  const images = [photo("taught"), photo("learned", true)];
  expect(offer.isOpen("taught", 2)).toBe(false);
  await Promise.all([offer.check(images), offer.check(images)]);
  expect(asked).toEqual([{ from_corrections: true, dry_run: true }]);
  expect([offer.isOpen("taught", 2), offer.isOpen("taught", 3)]).toEqual([false, true]);
});

it("offers what is left to learn", async () => {
  await offer.check([photo("taught"), photo("learned", true)]);
  expect([offer.isOpen("taught", 2), offer.answer]).toEqual([true, null]);
});

it("does not offer again what was left out as doubtful", async () => {
  left = left.filter((image) => image.doubt);
  await offer.check([photo("taught"), photo("learned", true)]);
  expect(offer.isOpen("taught", 2)).toBe(false);
});

it("asks nothing where no photo has learned", async () => {
  await offer.check([photo("taught"), photo("other")]);
  expect([offer.isOpen("taught", 2), asked]).toEqual([true, []]);
});

it("is not offered again for another photo once it is applied", async () => {
  await offer.check([photo("taught"), photo("too")]);
  await offer.preview();
  await offer.apply([photo("taught"), photo("too")], async () => undefined);
  expect([offer.isOpen("taught", 2), offer.isOpen("too", 2)]).toEqual([false, false]);
});
