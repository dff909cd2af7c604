/** Runs a task a moment after the last request; a newer one stops the older. */

export class PreviewRunner {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private controller: AbortController | undefined;

  /**
   * @param task gets a signal that aborts when its answer is no longer wanted.
   * @param onError hears why a task failed, unless it was stopped.
   * @param waitMs keeps a dragged slider far below the server's rate limit.
   */
  constructor(
    private readonly task: (signal: AbortSignal) => Promise<void>,
    private readonly onError: (error: unknown) => void,
    private readonly waitMs = 180,
  ) {}

  request(): void {
    this.stop();
    this.timer = setTimeout(() => void this.run(), this.waitMs);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.controller?.abort();
  }

  private async run(): Promise<void> {
    const controller = new AbortController();
    this.controller = controller;
    try {
      await this.task(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) this.onError(error);
    }
  }
}
