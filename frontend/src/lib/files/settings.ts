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
  /** Of a TIFF with several; else the first alone. */
  allPages: boolean;
}

/** Return whether a person can choose how an engine works. */
export const hasModes = (engine: string) => engine === "sam";

/** The API's default. */
export const DEFAULT_THRESHOLD = 0.25;

export const defaultSettings = (): Settings => ({
  engine: "auto",
  mode: "fast",
  sensitivity: sensitivityOf(DEFAULT_THRESHOLD),
  minArea: null,
  maxArea: null,
  excludeEdge: false,
  allPages: false,
});

export const thresholdOf = (sensitivity: number) => Math.round(100 - sensitivity) / 100;
export const sensitivityOf = (threshold: number) => Math.round(100 - threshold * 100);

/** Return the settings that a config names. */
function settingsOf(config: CountConfig): Partial<Settings> {
  const named: { [Key in keyof Settings]: Settings[Key] | undefined } = {
    engine: config.engine,
    mode: config.mode,
    sensitivity:
      config.confidence_threshold === undefined ? undefined : sensitivityOf(config.confidence_threshold),
    minArea: config.min_area_px,
    maxArea: config.max_area_px,
    excludeEdge: config.exclude_edge,
    allPages: config.pages === undefined ? undefined : config.pages === "all",
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/** Return the settings of a new job by a template before anything is changed. */
const settingsBy = (template: Template | null): Settings => ({
  ...defaultSettings(),
  ...settingsOf(template?.config ?? {}),
});

/** Return the settings after another template was chosen: what it names, and what a person changed besides. */
export function withTemplate(settings: Settings, before: Template | null, after: Template | null): Settings {
  const known = settingsBy(before);
  const isChanged = ([key, value]: [string, unknown]) => value !== known[key as keyof Settings];
  const changed = Object.fromEntries(Object.entries(settings).filter(isChanged));
  return { ...defaultSettings(), ...changed, ...settingsOf(after?.config ?? {}) };
}

/** Return the config of the API: only what differs from its defaults, or from what the template says. */
export function toConfig(settings: Settings, type: string, template: Template | null = null): CountConfig {
  const config: CountConfig = template ? { template: template.name } : {};
  const known = settingsBy(template);
  const isChanged = (key: keyof Settings) => (settings[key] || null) !== (known[key] || null);
  if (template?.exemplars.some((one) => one.positive)) config.count_what = "exemplars";
  if (isChanged("engine")) config.engine = settings.engine;
  if (hasModes(settings.engine) && isChanged("mode")) config.mode = settings.mode;
  if (isChanged("sensitivity")) config.confidence_threshold = thresholdOf(settings.sensitivity);
  if (isChanged("minArea")) config.min_area_px = settings.minArea || null;
  if (isChanged("maxArea")) config.max_area_px = settings.maxArea || null;
  if (isChanged("excludeEdge")) config.exclude_edge = settings.excludeEdge;
  if (isChanged("allPages")) config.pages = settings.allPages ? "all" : "first";
  if (!type.trim() && !template) config.count_what = "everything";
  return config;
}
