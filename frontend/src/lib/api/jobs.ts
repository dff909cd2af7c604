/** One function for each call the pages make. */
import { ApiError, create, get, post, send } from "./client";
import type * as api from "./types";

export const getJob = (id: string, signal?: AbortSignal) => get<api.Job>(`/jobs/${id}`, signal);

export const cancelJob = (id: string) => post<api.JobSummary>(`/jobs/${id}/cancel`);

export const retryJob = (id: string) => post<api.AcceptedJob>(`/jobs/${id}/retry`);

export async function deleteJob(id: string): Promise<void> {
  await send(`/jobs/${id}`, { method: "DELETE" });
}

export const getTypes = () => get<api.ObjectType[]>("/types");

interface JobFilter {
  status?: string;
  type?: string;
  needs_review?: string;
  page?: number;
}

/** Return one page of jobs, newest first, and how many pages there are. */
export async function listJobs(
  filter: JobFilter,
  signal?: AbortSignal,
): Promise<{ jobs: api.JobSummary[]; pagination: api.Pagination }> {
  const query = new URLSearchParams({ page_size: "20" });
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, String(value));
  const response = await send(`/jobs?${query}`, { signal });
  const { data } = (await response.json()) as { data: api.JobSummary[] };
  const header = response.headers.get("X-Pagination");
  const fallback = { total: data.length, total_pages: 1, page: 1 };
  return { jobs: data, pagination: header ? (JSON.parse(header) as api.Pagination) : fallback };
}

/** Return everything about one counted image, rejected candidates included. */
export async function getImageResult(jobId: string, fileId: string, signal?: AbortSignal) {
  const query = new URLSearchParams({ file_id: fileId, rejected: "true" });
  const data = await get<{ images: api.ImageResult[] }>(`/jobs/${jobId}/results?${query}`, signal);
  const image = data.images[0];
  if (!image) throw new Error(`the results of ${jobId} lack ${fileId}`);
  return image;
}

export interface RecountRequest {
  config?: api.CountConfig;
  dry_run: boolean;
  file_id?: string;
  /** With file_id: as a recount of all photos counts it, not from the settings it is counted with. */
  from_job_config?: boolean;
  /** Score the photos that no human touched by what was corrected in the others. */
  from_corrections?: boolean;
  /** With from_corrections: these photos alone; all when absent. */
  file_ids?: string[];
  /** Of the counts that a person looked at, by photo: one that was changed since is not overwritten. */
  versions?: Record<string, number>;
}

type Versioned = Pick<api.RecountedImage, "file_id" | "version">;

/** Return the versions of counts in view, later ones before earlier ones of the same photo. */
export const versionsOf = (...images: Versioned[]) =>
  Object.fromEntries(images.map(({ file_id, version }) => [file_id, version]));

export const recount = (jobId: string, body: RecountRequest, signal?: AbortSignal) =>
  post<api.RecountAnswer>(`/jobs/${jobId}/recount`, body, signal);

/** Count again as a preview showed; where somebody changed what it showed, `lookAgain`, and say so as an error. */
export async function applyRecount(
  jobId: string,
  body: Omit<RecountRequest, "dry_run">,
  lookAgain: () => Promise<unknown>,
): Promise<void> {
  try {
    await recount(jobId, { ...body, dry_run: false });
  } catch (failure) {
    if (!(failure instanceof ApiError && failure.code === "VERSION_CONFLICT")) throw failure;
    await lookAgain();
    const message =
      "Somebody changed these counts meanwhile. What is shown now starts from theirs: look, and apply again.";
    throw new ApiError(failure.status, failure.code, message, failure.requestId);
  }
}

/** Run the engine on stored photos. */
export const predict = (body: api.PredictRequest, signal?: AbortSignal, key?: string) =>
  create<api.AcceptedJob>("/inference/predict", body, signal, key);

export const listTemplates = () => getAll<api.Template>("/templates", {}, (one) => one.template_id);

export const saveTemplate = (template: api.NewTemplate) => create<api.Template>("/templates", template);

export async function deleteTemplate(id: string): Promise<void> {
  await send(`/templates/${id}`, { method: "DELETE" });
}

export const correct = (body: api.CorrectRequest) => post<api.CorrectionAnswer>("/correct", body);

const PAGE_SIZE = 100;

/** Return a list with all its pages; what is made meanwhile moves others to a later page, not out. */
async function getAll<T>(
  path: string,
  filter: Record<string, string>,
  idOf: (one: T) => string,
  signal?: AbortSignal,
): Promise<T[]> {
  const found = new Map<string, T>();
  for (let page = 1, isFull = true; isFull; page++) {
    const query = new URLSearchParams({ ...filter, page_size: `${PAGE_SIZE}`, page: `${page}` });
    const listed = await get<T[]>(`${path}?${query}`, signal);
    for (const one of listed) found.set(idOf(one), one);
    isFull = listed.length === PAGE_SIZE;
  }
  return [...found.values()];
}

/** Return all corrections of one image, newest first. */
export const listCorrections = (jobId: string, fileId: string, signal?: AbortSignal) =>
  getAll<api.CorrectionRecord>(
    "/corrections",
    { job_id: jobId, file_id: fileId },
    (one) => one.correction_id,
    signal,
  );

export const revertCorrection = (id: string) => post<api.CorrectionAnswer>(`/corrections/${id}/revert`);
