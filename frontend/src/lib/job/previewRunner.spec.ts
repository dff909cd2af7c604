import { expect, it, vi } from "vitest";
import { PreviewRunner } from "./previewRunner";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it("runs once for many requests in a row", async () => {
  const task = vi.fn(async () => undefined);
  const runner = new PreviewRunner(task, () => undefined, 10);
  for (let n = 0; n < 5; n++) runner.request();
  await pause(30);
  expect(task).toHaveBeenCalledTimes(1);
});

it("stops the older task when a newer one is wanted, and says nothing about it", async () => {
  const errors: unknown[] = [];
  const signals: AbortSignal[] = [];
  const task = async (signal: AbortSignal) => {
    signals.push(signal);
    await pause(40);
    signal.throwIfAborted();
  };
  const runner = new PreviewRunner(task, (error) => errors.push(error), 5);
  runner.request();
  await pause(15);
  runner.request();
  await pause(80);
  expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  expect(errors).toEqual([]);
});

it("tells why a task failed", async () => {
  const errors: unknown[] = [];
  const runner = new PreviewRunner(
    () => Promise.reject(new Error("no")),
    (error) => errors.push(error),
    1,
  );
  runner.request();
  await pause(15);
  expect(errors).toEqual([new Error("no")]);
});
