/** The optional settings of a new job, as the form holds them. */
import type { CountConfig, Template } from "../api/types";

export type Mode = "fast" | "exact";

export interface Settings {
  engine: string;
  /** Of an engine that has several; the others ignore it. */
  mode: Mode;
  /** 0 to 100: how unsure an object may be and still be counted. */
  sensitivity: number;
  minArea: number | null;
  maxArea: number | null;
  excludeEdge: boolean;
}

/** Return whether a person can choose how an engine works. */
export const hasModes = (engine: string) => engine === "sam";

export const DEFAULT_SENSITIVITY = 75;

export const defaultSettings = (): Settings => ({
  engine: "auto",
  mode: "fast",
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
  if (hasModes(settings.engine) && settings.mode !== "fast") config.mode = settings.mode;
  if (settings.sensitivity !== DEFAULT_SENSITIVITY) {
    config.confidence_threshold = thresholdOf(settings.sensitivity);
  }
  if (settings.minArea) config.min_area_px = settings.minArea;
  if (settings.maxArea) config.max_area_px = settings.maxArea;
  if (settings.excludeEdge) config.exclude_edge = true;
  if (!type.trim() && !template) config.count_what = "everything";
  return config;
}
