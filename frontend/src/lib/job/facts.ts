/** What is known about a count beside its number, in words. Pure. */
import type { CountConfig, ImageResult } from "../api/types";
import { DEFAULT_THRESHOLD, hasModes, sensitivityOf } from "../files/settings";
import { formatCount } from "../ui/format";

export type Fact = [name: string, value: string];

const MEANING: Record<string, string> = {
  type: "the named type",
  text: "the named things",
  exemplars: "what is like the examples",
  everything: "every object",
};

/** Return how large objects are and at which scale the engine looked at them. */
export function sizeFacts(stats: ImageResult["stats"], { scales }: ImageResult["engine_details"]): Fact[] {
  const area = stats.median_area_px;
  const across = Math.round(2 * Math.sqrt(area / Math.PI));
  const facts: Fact[] = [
    [
      "Typical size",
      area ? `${formatCount(Math.round(area))} px², as a disc of ${formatCount(across)} px across` : "–",
    ],
    ["Covered", `${stats.coverage_percent.toFixed(1)} % of the photo`],
  ];
  if (scales.length) facts.push(["Scale", `${scales.map(percent).join(" and ")} of the photo's size`]);
  return facts;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

const areaLimits = (least?: number | null, most?: number | null) =>
  least == null && most == null
    ? "automatic limits"
    : `${formatCount(least ?? 0)} to ${most == null ? "automatic" : formatCount(most)} px²`;

/** Return which engine counted, with what of it was chosen and what told it where to look. */
export function engineFact({ engine, model, settings, prompt_models }: ImageResult["provenance"]): string {
  const mode = hasModes(engine) ? settings.mode : undefined;
  const proposers = Object.keys(prompt_models ?? {}).join(" and ");
  const points = proposers && `points by ${proposers}`;
  return [engine, model === engine ? null : model, mode, points].filter(Boolean).join(", ");
}

function regionsFact(regions: NonNullable<CountConfig["roi"]>): string {
  const left = regions.filter((region) => region.include === false).length;
  const counted = regions.length - left;
  return [counted && `counted inside of ${counted}`, left && `left out inside of ${left}`]
    .filter(Boolean)
    .join(", ");
}

function tilesFact({
  enabled = "auto",
  slice_width: width = 1024,
  slice_height: height = 1024,
  overlap_ratio: overlap = 0.2,
}: NonNullable<CountConfig["sahi"]>): string {
  if (enabled === false) return "never";
  const when = enabled === true ? "always" : "where needed";
  const how = `${formatCount(width)} × ${formatCount(height)} px, ${percent(overlap)} shared`;
  return how === "1,024 × 1,024 px, 20 % shared" ? when : `${when}, ${how}`;
}

function rulesFact({ enabled, rules }: NonNullable<CountConfig["symbolic_reasoning"]>): string {
  if (!enabled || !rules) return "";
  return /^\s*[a-z][a-z0-9_]*\s*$/.test(rules) ? rules.trim() : "own ones";
}

/** Return what of the settings that the page has no fields for differs from its default. */
function rareFacts(settings: CountConfig): Fact[] {
  const { iou_threshold: iou = 0.5, max_overlap: inside = 0.9, granularity = "auto", roi = [] } = settings;
  const tiles = tilesFact(settings.sahi ?? {});
  const facts: Fact[] = [
    ["Pages", settings.pages === "all" ? "all of the file" : ""],
    ["Regions", regionsFact(roi)],
    ["Taken for one thing", iou === 0.5 ? "" : `outlines that share more than ${percent(iou)}`],
    ["Taken for a part", inside === 0.9 ? "" : `what lies in another by more than ${percent(inside)}`],
    ["Of wholes and parts", granularity === "auto" ? "" : `the ${granularity}s are counted`],
    ["Tiles", tiles === tilesFact({}) ? "" : tiles],
    ["Surroundings", settings.mask_background ? "hidden while things are named" : ""],
    ["Rules", rulesFact(settings.symbolic_reasoning ?? {})],
  ];
  return facts.filter(([, value]) => value);
}

/** Return the settings that decided the count. */
export function settingFacts(settings: CountConfig): Fact[] {
  const {
    confidence_threshold = DEFAULT_THRESHOLD,
    min_area_px,
    max_area_px,
    exemplars = [],
    groups = [],
  } = settings;
  const liked = exemplars.filter((one) => one.positive).length;
  const facts: Fact[] = [
    ["Counted", MEANING[settings.count_what ?? "type"] ?? ""],
    ["Sensitivity", `${sensitivityOf(confidence_threshold)} %`],
    ["Area", areaLimits(min_area_px, max_area_px)],
    ["Cut by the edge", settings.exclude_edge ? "left out" : "counted"],
    ...rareFacts(settings),
  ];
  if (settings.template) facts.unshift(["Template", settings.template]);
  if (exemplars.length) facts.push(["Examples", `${liked} like this, ${exemplars.length - liked} not`]);
  if (groups.length) facts.push(["Groups", `${groups.length} named, left out or split`]);
  return facts;
}
