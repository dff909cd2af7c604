/** Sends chosen photos to be counted: at once, or stored first so that drawn examples can name their photo. */
import { predict } from "../api/jobs";
import type { CountConfig, Exemplar } from "../api/types";
import { createJob, uploadFiles } from "../api/upload";
import { localId, withFileIds } from "../exemplars/chosenExamples.svelte";
import { changeOfExemplars } from "../job/changes";
import type { SelectedFile } from "./selection.svelte";

export interface Order {
  photos: SelectedFile[];
  type: string;
  config: CountConfig;
  exemplars: Exemplar[];
}

/** Return the id of the new job; an order sent again with the same `key` makes no other. */
export async function submit(
  { photos, type, config, exemplars }: Order,
  key: string,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const files = photos.map((photo) => photo.file);
  if (!exemplars.length) return (await createJob({ files, type, config }, key, onProgress, signal)).job_id;
  const { upload_id, uploaded_files } = await uploadFiles(files, `${key}-photos`, onProgress, signal);
  const file_ids = uploaded_files.map((file) => file.file_id);
  const drawn = withFileIds(exemplars, photos.map(localId), file_ids);
  const shown = { ...config, ...changeOfExemplars(config, drawn) };
  return (await predict({ upload_id, file_ids, type, config: shown }, signal, key)).job_id;
}
