/** What is known about a count beside its number, in words. Pure. */
import type { CountConfig, ImageResult } from "../api/types";
import { hasModes } from "../files/settings";
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
  if (scales.length) facts.push(["Scale", `${scales.map(describeScale).join(" and ")} of the photo's size`]);
  return facts;
}

/** Return in words how much smaller or larger than the photo the engine's input was. */
const describeScale = (scale: number) => `${Math.round(100 * scale)} %`;

const areaLimits = (least?: number | null, most?: number | null) =>
  least == null && most == null
    ? "automatic limits"
    : `${formatCount(least ?? 0)} to ${most == null ? "automatic" : formatCount(most)} px²`;

/** Return which engine counted, with what of it was chosen. */
export function engineFact({ engine, model, settings }: ImageResult["provenance"]): string {
  const mode = hasModes(engine) ? settings.mode : undefined;
  return [engine, model === engine ? null : model, mode].filter(Boolean).join(", ");
}

/** Return the settings that decided the count. */
export function settingFacts(settings: CountConfig): Fact[] {
  const { confidence_threshold = 0.25, min_area_px, max_area_px, exemplars = [], groups = [] } = settings;
  const liked = exemplars.filter((one) => one.positive).length;
  const facts: Fact[] = [
    ["Counted", MEANING[settings.count_what ?? "type"] ?? ""],
    ["Score at least", `${Math.round(100 * confidence_threshold)} %`],
    ["Area", areaLimits(min_area_px, max_area_px)],
    ["Cut by the edge", settings.exclude_edge ? "left out" : "counted"],
  ];
  if (settings.template) facts.unshift(["Template", settings.template]);
  if (exemplars.length) facts.push(["Examples", `${liked} like this, ${exemplars.length - liked} not`]);
  if (groups.length) facts.push(["Groups", `${groups.length} named, left out or split`]);
  return facts;
}
