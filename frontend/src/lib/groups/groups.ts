/** Groups of things that look alike in one photo, and what a person says of them. Pure. */
import type { GroupChoice, Half, ImageResult } from "../api/types";
import type { Scene } from "../edits/applyEdits";
import type { Shape } from "../overlay/shapes";

export interface GroupView {
  id: number;
  /** As the server calls it while nobody has named it. */
  placeholder: string;
  /** As a person named it; "" for not at all. */
  name: string;
  isCounted: boolean;
  /** The group that was split, of a half whose other half is whole; null where there is nothing to join. */
  joinsTo: number | null;
  /** What splitting it would give; none where all are alike, or were corrected since. */
  halves: GroupView[];
  /** Of what splitting would give: the group that is whole now. */
  halfOf: number | null;
  /** Members in the photo, counted or left out, the surest first. */
  members: Shape[];
  /** How many of them are counted in the scene. */
  count: number;
}

/** Light enough for the dark casing around outlines, and each as far from the others as the first eight are. */
const COLOURS = [
  ...["#56b4e9", "#ffb000", "#f783ac", "#b4e051", "#c79bff", "#ff8a5c", "#fff39a", "#c9ced1"],
  ...["#409410", "#dc10f4", "#947c7c", "#7c70f4", "#34c488", "#f4344c", "#1cf4dc", "#aca010"],
  ...["#b864b8", "#1094a0", "#f410a0", "#10dc10", "#c47010", "#a0aca0", "#f464e8"],
];

/** How many groups have a colour of their own. */
export const N_COLOURS = COLOURS.length;

/** Return the colour of a group's outlines and of its row; the one `N_COLOURS` after it has the same. */
export const colourOfGroup = (id: number): string => COLOURS[id % COLOURS.length]!;

/** Members that were not left out by a choice would count: what else keeps things out, forms no groups. */
const isLeftOut = ({ rejection }: Shape): boolean => rejection.startsWith("other_type:");

const wouldCount = (members: Shape[]): Shape[] => members.filter((one) => !one.rejection || isLeftOut(one));

/** Return the groups of a photo, the largest first, as the scene and the choices show them. */
export function groupsInView(
  groups: ImageResult["groups"],
  scene: Scene,
  choices: GroupChoice[],
  fileId: string,
): GroupView[] {
  const all = [...scene.counted, ...scene.rejected];
  const here = choices.filter((one) => one.file_id === fileId);
  const views = groups.map(({ id, name, part_of, halves }) => {
    const choice =
      here.find((one) => one.id === id) ??
      (part_of === null ? undefined : here.find((one) => one.split && one.name === name));
    const isOtherSplit = here.some((one) => one.split && one.id === otherHalf(id));
    const members = all.filter((shape) => shape.group === id).sort((a, b) => b.confidence - a.confidence);
    const view = {
      ...{ id, members, joinsTo: isOtherSplit ? null : part_of, halfOf: null },
      placeholder: choice?.name !== name ? name : part_of === null ? `group ${id + 1}` : "half of a group",
      ...saidOf(choice, members),
    };
    return { ...view, halves: halvesOf(view, halves ?? [], here) };
  });
  return views.filter((view) => view.members.length).sort((a, b) => b.members.length - a.members.length);
}

/** Return what a person says of a group, and how many of its members are counted. */
function saidOf(choice: GroupChoice | undefined, members: Shape[]) {
  return {
    name: choice?.name ?? "",
    isCounted: choice?.counted ?? !members.every(isLeftOut),
    count: members.filter((one) => !one.rejection).length,
  };
}

/** Return what splitting a group would give, with what is said of it already; none if it was corrected since. */
function halvesOf(whole: Omit<GroupView, "halves">, halves: Half[], here: GroupChoice[]): GroupView[] {
  const known = halves.reduce((sum, half) => sum + half.objects.length, 0);
  if (known !== wouldCount(whole.members).length) return [];
  return halves.map((half) => {
    const ids = new Set(half.objects);
    const members = whole.members.filter((one) => ids.has(one.id));
    const inherited = { ...here.find((one) => one.id === whole.id), id: half.id };
    if (!half.larger) delete inherited.name;
    const own = here.find((one) => one.id === half.id) ?? (inherited as GroupChoice);
    return {
      ...{ id: half.id, members, placeholder: half.name, joinsTo: null, halfOf: whole.id, halves: [] },
      ...saidOf(own, members),
    };
  });
}

/** Return what the row of a group shows and points out: what is counted of it, or what is left out with it. */
export const shownOf = ({ isCounted, members }: Pick<GroupView, "isCounted" | "members">): Shape[] =>
  isCounted ? members.filter((one) => !one.rejection) : wouldCount(members);

/**
 * Return the choices with another word on one group: its name, or that it counts or not. One that counts again
 * needs none on that, so that examples shown later decide, unless it could be left out by what was said in
 * another photo or before a split, or by the name of another group, which may be what was asked for.
 */
export function withChoice(
  choices: GroupChoice[],
  fileId: string,
  { id, name, isCounted }: Pick<GroupView, "id" | "name" | "isCounted">,
  word: { name?: string; counted?: boolean },
): GroupChoice[] {
  const isOwn = (one: GroupChoice) => one.file_id === fileId && one.id === id;
  const others = choices.filter((one) => !isOwn(one));
  const isOut = others.some((one) => (one.file_id !== fileId || one.split) && one.counted === false);
  const isHeldByWhole = others.some((one) => one.file_id === fileId && one.split && isSaid(one));
  const isNamed = others.some((one) => one.name);
  const before = choices.find(isOwn)?.counted ?? (isOut ? isCounted : undefined);
  const counted = word.counted && !isOut && !isNamed ? undefined : (word.counted ?? before);
  const said = { name: (word.name ?? name).trim() || undefined, counted };
  return isHeldByWhole || isSaid(said) ? [...others, { file_id: fileId, id, ...said }] : others;
}

const isSaid = ({ name, counted }: Pick<GroupChoice, "name" | "counted">): boolean =>
  Boolean(name) || typeof counted === "boolean";

const otherHalf = (id: number): number => id ^ 1;

/** Return the choices with a group split in two: what was said of it holds for its halves. */
export function withSplit(choices: GroupChoice[], fileId: string, id: number): GroupChoice[] {
  const said = choices.find((one) => one.file_id === fileId && one.id === id);
  return [...without(choices, fileId, [id]), { file_id: fileId, ...said, id, split: true }];
}

/** Return the choices with this group counted and every other one of the photo left out. */
export function withOnly(
  choices: GroupChoice[],
  fileId: string,
  views: GroupView[],
  only: GroupView,
): GroupChoice[] {
  const isWhole = (view: GroupView) => view.id !== only.halfOf && !isGone(view, choices, fileId);
  const others = views
    .flatMap((view) => (isWhole(view) ? [view] : view.halves))
    .filter((view) => view.id !== only.id);
  return [...others, only].reduce(
    (said, view) => withWord(said, fileId, view, { counted: view === only }),
    choices,
  );
}

/** Return the choices with another word on a group, or on a half of one, which splits that. */
export function withWord(
  choices: GroupChoice[],
  fileId: string,
  view: GroupView,
  word: { name?: string; counted?: boolean },
): GroupChoice[] {
  const whole = view.halfOf === null ? choices : withSplit(choices, fileId, view.halfOf);
  return withChoice(whole, fileId, view, word);
}

/** Return the choices with a half and the other one joined again: what was said before the split holds. */
export function withJoined(
  choices: GroupChoice[],
  fileId: string,
  { id, joinsTo }: GroupView,
): GroupChoice[] {
  if (joinsTo === null) return choices;
  const whole = choices.find((one) => one.file_id === fileId && one.id === joinsTo);
  const rest = without(choices, fileId, [id, otherHalf(id), joinsTo]);
  return whole && isSaid(whole) ? [...rest, { ...whole, split: false }] : rest;
}

/** Whether a group is split, or a half joined, by now: its row stays in view, and says nothing, until the next preview. */
export function isGone({ id, joinsTo }: GroupView, choices: GroupChoice[], fileId: string): boolean {
  const isSplit = (whole: number) =>
    choices.some((one) => one.split && one.file_id === fileId && one.id === whole);
  return isSplit(id) || (joinsTo !== null && !isSplit(joinsTo));
}

const without = (choices: GroupChoice[], fileId: string, ids: number[]): GroupChoice[] =>
  choices.filter((one) => one.file_id !== fileId || !ids.includes(one.id));

/** Return the counted groups in words, and the rest of the scene's count: `washers: 7, in no group: 2`. */
export function describeGroups(views: GroupView[], scene: Scene): string {
  const nGrouped = views.reduce((sum, view) => sum + view.count, 0);
  const parts = views
    .filter((view) => view.count)
    .map((view) => `${view.name || view.placeholder}: ${view.count}`);
  const nRest = scene.counted.length - nGrouped;
  return (nRest ? [...parts, `in no group: ${nRest}`] : parts).join(", ");
}
