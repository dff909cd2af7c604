/** What a person changed about a count, against the settings it was made with. Pure. */
import type { CountConfig, Exemplar } from "../api/types";
import { DEFAULT_THRESHOLD } from "../files/settings";

const DEFAULTS: CountConfig = {
  confidence_threshold: DEFAULT_THRESHOLD,
  min_area_px: null,
  max_area_px: null,
  exclude_edge: false,
  count_what: "type",
  exemplars: [],
  groups: [],
  groups_scope: "image",
  roi: [],
};

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Return the settings in force: defaults, the job's own, and the changes. */
export const mergedConfig = (base: CountConfig, changes: CountConfig): CountConfig => ({
  ...DEFAULTS,
  ...base,
  ...changes,
});

/** Return the changes with more of them, without those that change nothing. */
export function withChange(base: CountConfig, changes: CountConfig, more: CountConfig): CountConfig {
  const before = mergedConfig(base, {});
  const all = Object.entries({ ...changes, ...more });
  return Object.fromEntries(all.filter(([key, value]) => !isSame(value, before[key as keyof CountConfig])));
}

/** Return what the settings that are changed are without the changes. */
export function valuesOf(base: CountConfig, changes: CountConfig): CountConfig {
  const before = mergedConfig(base, {});
  const keys = Object.keys(changes) as (keyof CountConfig)[];
  return Object.fromEntries(keys.map((key) => [key, before[key] ?? null]));
}

/**
 * Return the change that counting by these examples is.
 *
 * Only a positive example says what is meant; negative ones alone leave things out of the job's own kind.
 */
export function changeOfExemplars(base: CountConfig, exemplars: Exemplar[]): CountConfig {
  if (exemplars.some((one) => one.positive)) return { exemplars, count_what: "exemplars" };
  const own = base.count_what === "exemplars" ? "type" : base.count_what;
  return { exemplars, count_what: own ?? "type" };
}

/**
 * Return the photo that changes are about where they are about one alone, as its groups and regions are; null
 * where other photos may be counted otherwise, too.
 */
export function onlyPhotoOf(base: CountConfig, changes: CountConfig): string | null {
  const [before, after] = [mergedConfig(base, {}), mergedConfig(base, changes)];
  const isOfAll = Object.keys(changes).some((key) => key !== "groups" && key !== "roi");
  if (isOfAll || after.groups_scope === "job") return null;
  const saidIn = ({ groups, roi }: CountConfig, id: string | null) =>
    [groups, roi].map((all) => all?.filter((one) => (one.file_id ?? null) === id));
  const said = [before, after].flatMap((config) => [...(config.groups ?? []), ...(config.roi ?? [])]);
  const ids = [...new Set(said.map((one) => one.file_id ?? null))];
  const [id = null, ...more] = ids.filter((id) => !isSame(saidIn(before, id), saidIn(after, id)));
  return more.length ? null : id;
}

const ONLY_HERE = ["groups", "groups_scope", "template"];

/** Return the settings for a new count: without what exists only in this one, as its groups do. */
export function configForNewJob(base: CountConfig, changes: CountConfig): CountConfig {
  const all = Object.entries({ ...base, ...changes });
  return Object.fromEntries(all.filter(([key]) => !ONLY_HERE.includes(key)));
}
