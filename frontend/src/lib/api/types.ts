/** Answers of the HTTP API, under the names the pages use. */

export type JobStatus = "queued" | "processing" | "completed" | "failed" | "cancelled";
export type ImageStatus = JobStatus;

export interface Failure {
  code: string;
  message: string;
}

export interface ObjectType {
  id: string;
  name: string;
  synonyms: string[];
}

export interface CountConfig {
  engine?: string;
  confidence_threshold?: number;
  min_area_px?: number | null;
  max_area_px?: number | null;
  exclude_edge?: boolean;
  count_what?: "type" | "text" | "exemplars" | "everything";
}

export interface JobImage {
  file_id: string;
  filename: string;
  width: number;
  height: number;
  status: ImageStatus;
  count: number | null;
  count_interval: [number, number] | null;
  count_source: "model" | "human";
  version: number;
  needs_review: boolean;
  review_reason: string | null;
  error: Failure | null;
  urls: Record<"original" | "annotated" | "heatmap" | "rejected" | "thumbnail", string | null>;
}

export interface JobSummary {
  job_id: string;
  type: string;
  status: JobStatus;
  config: CountConfig;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  total_images: number;
  processed_images: number;
  count: number | null;
  partial: boolean;
  retry_of: string | null;
  error: Failure | null;
  thumbnail_url?: string | null;
}

export interface Job extends JobSummary {
  images: JobImage[];
}

export interface StatusAnswer {
  job_id: string;
  status: JobStatus;
  progress: {
    total_images: number;
    processed_images: number;
    percentage: number;
    current_stage: string | null;
    estimated_completion: string | null;
  };
  summary: { total_detections: number | null } | null;
  error: Failure | null;
}

export interface Box {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface Detection {
  object_id: string;
  number: number;
  class_name: string;
  confidence: number;
  bbox: Box;
  segmentation: number[];
  area: number;
  group: number | null;
  source: "model" | "human";
}

export interface RejectedCandidate {
  object_id: string;
  reason: string;
  confidence: number;
  bbox: Box;
  segmentation: number[];
}

export interface ImageResult {
  file_id: string;
  filename: string;
  width: number;
  height: number;
  version: number;
  count: number;
  model_count: number;
  count_interval: [number, number] | null;
  count_source: "model" | "human";
  needs_review: boolean;
  review_reason: string | null;
  labelled_by: string;
  stats: {
    median_area_px: number;
    coverage_percent: number;
    density_per_megapixel: number;
  };
  provenance: { engine: string; engine_reason: string };
  detections: Detection[];
  rejected: RejectedCandidate[];
}

export interface RecountedImage {
  file_id: string;
  count: number;
  count_interval: [number, number] | null;
  version: number;
  counted: string[];
  rejected: Record<string, string>;
}

export interface RecountAnswer {
  job_id: string;
  dry_run: boolean;
  count: number;
  images: RecountedImage[];
}

export type Edit = { op: "add"; point: [number, number] } | { op: "remove"; object_id: string };

export interface CorrectionRecord {
  correction_id: string;
  edits: { op: string; point?: [number, number]; object_id?: string }[];
  human_count: number | null;
  reverted_at: string | null;
}

export interface CorrectionAnswer {
  correction_id: string;
  job_id: string;
  file_id: string;
  version: number;
  count: number;
  count_before: number;
  count_interval: [number, number];
  count_source: "model" | "human";
  detections: Detection[];
}

export interface AcceptedJob {
  job_id: string;
}

export interface Pagination {
  total: number;
  total_pages: number;
  page: number;
}
