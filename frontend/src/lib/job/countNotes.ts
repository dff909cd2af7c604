/** What is said beside a count, about who chose what is in it. Pure. */
import type { GroupChoice, ImageResult, Interval, RecountedImage } from "../api/types";
import { formatCount, formatInterval, nounFor, plural } from "../ui/format";

/** Return what to call `n` things: as asked, unless the names that a person gave to groups say otherwise. */
export function countedNoun(
  n: number | null | undefined,
  type: string,
  groups: Pick<ImageResult["groups"][number], "name" | "count">[],
  choices: GroupChoice[],
): string {
  const isGiven = (name: string) => choices.some((choice) => choice.name === name);
  const kinds = groups.filter(({ count }) => count).map(({ name }) => (isGiven(name) ? name : type));
  const [kind = type, ...others] = new Set(kinds);
  return nounFor(n, others.length ? "object" : kind);
}

/**
 * Return how sure a count is; "" where nobody knows, and where the words would only repeat a number: one that a
 * person gave, or that somebody is asked to check (`isPlain`). What else people changed holds (`isHuman`).
 */
export function certaintyNote(interval: Interval | null, isPlain: boolean, isHuman = false): string {
  if (!interval || (isPlain && interval[0] === interval[1])) return "";
  return `${formatInterval(interval)} with 90 % certainty${isHuman ? ", as the machine sees the rest" : ""}`;
}

/** Return a sentence where nothing but the request names what was counted; "" where anything else chose. */
export function namingNote({ labelled_by, provenance, count, groups }: ImageResult, type: string): string {
  const {
    count_what = "type",
    exemplars = [],
    groups: choices = [],
    symbolic_reasoning,
  } = provenance.settings;
  const isSaid = choices.some(({ counted, name }) => name || typeof counted === "boolean");
  const isChosen = exemplars.length || isSaid || symbolic_reasoning?.enabled;
  const isAsked = count_what === "type" && type.toLowerCase() !== "object";
  if (labelled_by !== "request" || !isAsked || isChosen || !count) return "";
  const how = groups.length > 1 ? "Show one, or choose a group," : "Show one";
  return `All kinds were counted: nothing here can tell which are “${nounFor(2, type)}”. ${how} to be sure.`;
}

/** Return how far a number that a person gave is from the outlines in the picture; "" where they agree. */
export function unmarkedNote(count: number, marked: number): string {
  if (count > marked) return `${formatCount(count - marked)} not marked in the picture`;
  return count < marked ? `${formatCount(marked - count)} more marked than this number` : "";
}

/** Return what becomes of `n` added objects that the engine does not see; "" for none. The buttons are the page's. */
export function unseenNote(n: number): string {
  if (!n) return "";
  const [them, these] = n === 1 ? ["it", "this one"] : ["them", "these"];
  return (
    `The engine does not see ${plural(n, "object")} that you added, and learns nothing from ${them}. To look for more ` +
    `like ${these}, draw a box around one with “Like this”, then “Count again with these”.`
  );
}

/** Return how many counts would change in the photos that are chosen, and how many more in those that are not. */
export function offerNote(
  images: Pick<RecountedImage, "file_id" | "count" | "count_before" | "doubt">[],
  chosen: string[],
): string {
  const changed = images.filter((one) => one.count !== one.count_before);
  if (!changed.length) return "Nothing would change";
  const doubts = (some: typeof images) => {
    const n = some.filter((one) => one.doubt).length;
    return n ? `, ${formatCount(n)} perhaps wrongly` : "";
  };
  const ticked = changed.filter((one) => chosen.includes(one.file_id));
  const rest = changed.filter((one) => !chosen.includes(one.file_id));
  const now = `${ticked.length ? plural(ticked.length, "count") : "No count"} would change${doubts(ticked)}`;
  const more = `; ${formatCount(rest.length)}${ticked.length ? " more" : ""} if ticked${doubts(rest)}`;
  return now + (rest.length ? more : "");
}

/**
 * Return what other examples do to `n` photos that are counted by what was learned from corrections;
 * "" for none.
 */
export function lessonNote(n: number): string {
  if (!n) return "";
  const [are, them] = n === 1 ? ["is", "it"] : ["are", "them"];
  const what = `${plural(n, "photo")} ${are} counted by your corrections. Other examples undo that`;
  return `${what}: use the corrections again for ${them} afterwards.`;
}

/** Return how many candidates were not counted, and how many things were too faint to be any; "" for none. */
export function notCountedNote(rejected: number, faint: number): string {
  const parts = [
    rejected && `${formatCount(rejected)} not counted`,
    faint && `${formatCount(faint)} too faint`,
  ];
  return parts.filter(Boolean).join(", and ");
}

/** Return what is said of `n` things that the engine saw too faintly to make them candidates; "" for none. */
export function faintNote(n: number): string {
  if (!n) return "";
  const [was, one] = n === 1 ? ["was", "it"] : ["were", "one"];
  return `${plural(n, "thing")} ${was} seen too faintly to count. Add ${one} by a click, or show an example.`;
}
