/** Talks to /api/v1: unwraps the envelope, and turns the error payload into one exception. */

export const API = "/api/v1";

interface ErrorPayload {
  code?: string;
  message?: string;
  request_id?: string;
  field?: string;
  details?: ErrorDetail[];
}

export interface ErrorDetail {
  field?: string;
  filename?: string;
  code?: string;
  message?: string;
}

/** What the server refused, in its own words; `requestId` finds it in the log. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId = "",
    readonly details: ErrorDetail[] = [],
  ) {
    super(message);
  }
}

/** Return the error that an answer's body describes, whatever the body is. */
export function errorFromBody(status: number, body: string): ApiError {
  try {
    const error = (JSON.parse(body) as { error?: ErrorPayload }).error ?? {};
    const message = error.message ?? `The server answered ${status}.`;
    return new ApiError(status, error.code ?? "UNKNOWN", message, error.request_id, error.details ?? []);
  } catch {
    return new ApiError(status, "UNKNOWN", `The server answered ${status} without an explanation.`);
  }
}

/** Fetch and return the whole answer; raise ApiError unless it is a success. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(API + path, init);
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError(0, "UNREACHABLE", "The server cannot be reached. Check the connection and try again.");
  }
  if (!response.ok) throw errorFromBody(response.status, await response.text());
  return response;
}

/** Return the `data` of a GET. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await send(path, { signal, headers: { Accept: "application/json" } });
  return ((await response.json()) as { data: T }).data;
}

/** Return the `data` of a POST with a JSON body. */
export async function post<T>(path: string, body: unknown = {}, signal?: AbortSignal): Promise<T> {
  return postWith(path, body, {}, signal);
}

/** As `post`, for what makes something new: sent again with the same `key`, it is made once. */
export const create = <T>(path: string, body: unknown, signal?: AbortSignal, key = idempotencyKey()) =>
  postWith<T>(path, body, { "Idempotency-Key": key }, signal);

async function postWith<T>(
  path: string,
  body: unknown,
  more: Record<string, string>,
  signal?: AbortSignal,
): Promise<T> {
  const headers = { "Content-Type": "application/json", Accept: "application/json", ...more };
  const response = await send(path, { method: "POST", body: JSON.stringify(body), headers, signal });
  return ((await response.json()) as { data: T }).data;
}

/** Return a key that makes a repeated POST harmless; works without HTTPS, unlike randomUUID. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
