/**
 * Answers of the HTTP API, under the names the pages use.
 *
 * Everything comes from schema.ts, which `npm run types` generates from the OpenAPI document; here only
 * what JSON Schema leaves wide is made exact: words of a fixed set, and pairs.
 */
import type { components } from "./schema";

type Schemas = components["schemas"];
type Exact<T, Fields> = Omit<T, keyof Fields> & Fields;

export type JobStatus = Schemas["Job"]["status"];
export type Interval = [low: number, high: number];
type Source = "model" | "human";

export type Failure = Schemas["Failure"];
export type ObjectType = Schemas["Type"];
export type AcceptedJob = Schemas["JobAccepted"];
export type RejectedCandidate = Schemas["Rejected"];
export type FaintThing = Schemas["Faint"];

/** A thing like those to count, or like those not to count, in the pixels of the photo `file_id`. */
export interface Exemplar {
  file_id: string | null;
  positive: boolean;
  box?: [x: number, y: number, width: number, height: number];
  point?: [x: number, y: number];
  /** Whether it comes from what a person corrected. */
  corrected?: boolean;
}

/** One of the two groups that splitting a group would give. */
export type Half = NonNullable<ImageResult["groups"][number]["halves"]>[number];

/** What a person said of one group of a photo. */
export interface GroupChoice {
  file_id: string;
  id: number;
  name?: string | null;
  /** Whether it is counted whatever else was asked for; nothing leaves that open. */
  counted?: boolean | null;
  /** Whether it falls in two groups: what is said here holds for both, the name for the larger one. */
  split?: boolean;
}

/** A polygon of which only the inside is counted, or with `include: false` left out. */
export interface Region {
  polygon: [x: number, y: number][];
  include?: boolean;
  /** The only photo that it is of; none means all. */
  file_id?: string | null;
}

/** The keys of a job's config that the pages set, read or show. */
export interface CountConfig {
  engine?: string;
  mode?: "fast" | "exact";
  confidence_threshold?: number;
  min_area_px?: number | null;
  max_area_px?: number | null;
  exclude_edge?: boolean;
  /** Of two outlines of one type that share more the weaker goes, by what both cover. */
  iou_threshold?: number;
  /** The same for the smaller one, by the share of it that lies in the other. */
  max_overlap?: number;
  granularity?: "auto" | "whole" | "part";
  mask_background?: boolean;
  roi?: Region[];
  sahi?: {
    enabled?: boolean | "auto";
    slice_width?: number;
    slice_height?: number;
    overlap_ratio?: number;
  };
  pages?: "first" | "all";
  count_what?: "type" | "text" | "exemplars" | "everything";
  exemplars?: Exemplar[];
  groups?: GroupChoice[];
  /** Whether what is alike in the other photos follows. */
  groups_scope?: "image" | "job";
  template?: string | null;
  /** Rules are the name of a bundled set, or a program. */
  symbolic_reasoning?: { enabled?: boolean; rules?: string | null };
}

export type Upload = Schemas["Upload"];
export type PredictRequest = Exact<Schemas["PredictRequest"], { config: CountConfig }>;
/** Saved examples and settings; its `config` holds no exemplars. */
export type Template = Exact<Schemas["Template"], { config: CountConfig; exemplars: Exemplar[] }>;
export type NewTemplate = Pick<Template, "name" | "type" | "config" | "exemplars">;

interface Counted {
  count_interval: Interval;
  count_source: Source;
}

export type JobImage = Exact<
  Schemas["JobImage"],
  { status: JobStatus; count_interval: Interval | null; count_source: Source }
>;
interface Summed {
  config: CountConfig;
  count_interval: Interval | null;
}

export type JobSummary = Exact<Schemas["JobListItem"], Summed>;
export type Job = Exact<Schemas["Job"], Summed & { images: JobImage[] }>;
export type StatusAnswer = Exact<Schemas["Status"], { status: JobStatus }>;

export type Detection = Exact<Schemas["Detection"], { source: Source }>;
export type ImageResult = Exact<
  Schemas["ImageResult"],
  Counted & {
    detections: Detection[];
    rejected: RejectedCandidate[];
    faint: FaintThing[];
    provenance: {
      engine: string;
      engine_reason: string;
      model: string | null;
      settings: CountConfig;
      prompt_models?: Record<string, string>;
    };
    engine_details: { scales: number[] };
  }
>;

/** How many there may be of what cannot be told apart: beside the count, never in it. */
export type DensityEstimate = Schemas["Density"];

export type RecountedImage = Exact<
  Schemas["RecountedImage"],
  { count_interval: Interval; count_interval_before: Interval }
>;
export type RecountAnswer = Exact<Schemas["Recount"], { images: RecountedImage[] }>;

export type Edit = { op: "add"; point: [number, number] } | { op: "remove"; object_id: string };
export type CorrectRequest = Exact<Schemas["CorrectionRequest"], { edits?: Edit[] }>;
export type CorrectionAnswer = Exact<Schemas["Corrected"], Counted & { detections: Detection[] }>;
/** An edit as it is kept: with the id of the object that it made. */
export type StoredEdit = { op: string; point?: [number, number]; object_id?: string };
export type CorrectionRecord = Exact<Schemas["Correction"], { edits: StoredEdit[] }>;

/** The X-Pagination header. */
export interface Pagination {
  total: number;
  total_pages: number;
  page: number;
}
