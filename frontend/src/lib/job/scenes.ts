/** What the page shows of an image, derived from the server's answers. Pure. */
import type { CorrectionAnswer, ImageResult, RecountedImage } from "../api/types";
import type { Scene } from "../edits/applyEdits";
import { shapeOfDetection, shapeOfRejected } from "../overlay/shapes";

/** Return the outlines of a result. */
export function sceneOf({ detections, rejected }: ImageResult): Scene {
  return { counted: detections.map(shapeOfDetection), rejected: rejected.map(shapeOfRejected) };
}

/** Return the scene as other settings would decide it, its objects numbered as they will be once applied. */
export function previewScene(scene: Scene, preview: RecountedImage): Scene {
  const counted = new Map(preview.counted.map((id, index) => [id, index + 1]));
  const all = [...scene.counted, ...scene.rejected].map((s) => ({
    ...s,
    group: preview.group_of[s.id] ?? null,
  }));
  return {
    counted: all
      .filter((s) => counted.has(s.id))
      .map((s) => ({ ...s, number: counted.get(s.id) ?? null, rejection: "" })),
    rejected: all
      .filter((s) => !counted.has(s.id))
      .map((s) => ({ ...s, number: null, rejection: preview.rejected[s.id] ?? (s.rejection || "human") })),
  };
}

/**
 * Return the result with a correction's answer in it; what it took out joins the rejected. What a person corrected
 * needs no more review.
 */
export function afterCorrection(before: ImageResult, answer: CorrectionAnswer): ImageResult {
  const { version, count, count_interval, count_source, detections } = answer;
  const counted = new Set(detections.map((found) => found.object_id));
  const takenOut = before.detections
    .filter((found) => !counted.has(found.object_id))
    .map(({ object_id, confidence, probability, bbox, segmentation, group }) => ({
      ...{ object_id, confidence, probability, bbox, segmentation, group },
      reason: "human",
    }));
  const rejected = [...before.rejected, ...takenOut].filter(({ object_id }) => !counted.has(object_id));
  const checked = { needs_review: false, review_reason: null, density_estimate: null };
  const changed = { version, count, count_interval, count_source, detections, rejected };
  const by_type: Record<string, number> = {};
  for (const { class_name } of detections) by_type[class_name] = (by_type[class_name] ?? 0) + 1;
  return { ...before, ...changed, by_type, ...checked };
}
