import { expect, it } from "vitest";
import { ChosenExamples, localId, withFileIds } from "./chosenExamples.svelte";
import { exemplarOfPoint } from "./exemplars";

const at = (id: string, positive = true) => exemplarOfPoint({ x: 3, y: 4 }, id, positive);
const [first, second] = [localId({ key: 0 }), localId({ key: 1 })];

it("gives each example the id that the server gave its photo", () => {
  const sent = withFileIds([at(second), at(first, false)], [first, second], ["img_a", "img_b"]);
  expect(sent.map((one) => [one.file_id, one.positive])).toEqual([
    ["img_b", true],
    ["img_a", false],
  ]);
});

it("sends no example without its photo", () => {
  expect(() => withFileIds([at(second)], [first], ["img_a"])).toThrow(second);
});

it("forgets the examples of a photo that is left out", () => {
  const examples = new ChosenExamples();
  examples.add(at(first));
  examples.add(at(second));
  examples.forget(first);
  expect(examples.list).toEqual([at(second)]);
  examples.remove(examples.list[0]!);
  expect(examples.list).toEqual([]);
});
