/** A real HTTP server for tests, which relative addresses go to. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { vi } from "vitest";

const realFetch = globalThis.fetch;

/** Answer requests, once their bodies are read, and return what ends that. */
export async function serve(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<() => void> {
  const server = createServer(async (request, response) => answer(request, response, await text(request)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => realFetch(origin + path, init));
  return () => {
    vi.unstubAllGlobals();
    server.closeAllConnections();
    server.close();
  };
}
