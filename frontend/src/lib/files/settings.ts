/** The optional settings of a new job, as the form holds them. */
import type { CountConfig, Template } from "../api/types";

export interface Settings {
  engine: string;
  /** 0 to 100: how unsure an object may be and still be counted. */
  sensitivity: number;
  minArea: number | null;
  maxArea: number | null;
  excludeEdge: boolean;
}

export const DEFAULT_SENSITIVITY = 75;

export const defaultSettings = (): Settings => ({
  engine: "auto",
  sensitivity: DEFAULT_SENSITIVITY,
  minArea: null,
  maxArea: null,
  excludeEdge: false,
});

export const thresholdOf = (sensitivity: number) => Math.round(100 - sensitivity) / 100;
export const sensitivityOf = (threshold: number) => Math.round(100 - threshold * 100);

/** Return the config of the API: only what differs from its defaults. */
export function toConfig(settings: Settings, type: string, template: Template | null = null): CountConfig {
  const config: CountConfig = template ? { template: template.name } : {};
  if (template?.exemplars.some((one) => one.positive)) config.count_what = "exemplars";
  if (settings.engine !== "auto") config.engine = settings.engine;
  if (settings.sensitivity !== DEFAULT_SENSITIVITY) {
    config.confidence_threshold = thresholdOf(settings.sensitivity);
  }
  if (settings.minArea) config.min_area_px = settings.minArea;
  if (settings.maxArea) config.max_area_px = settings.maxArea;
  if (settings.excludeEdge) config.exclude_edge = true;
  if (!type.trim() && !template) config.count_what = "everything";
  return config;
}
