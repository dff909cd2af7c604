/** What is shown over the photo, and what a click does. */
import type { Shape } from "./shapes";

export type Tool = "select" | "add" | "remove" | "like" | "unlike" | "region";

/** The kind of example that a tool makes, null for tools that make none. */
export const sideOf = (tool: Tool): boolean | null =>
  tool === "like" ? true : tool === "unlike" ? false : null;

export class Layers {
  counted = $state(true);
  numbers = $state(true);
  rejected = $state(false);
  groups = $state(false);
  heatmap = $state(false);
  /** Objects to point out: those of the group under the pointer or the focus. */
  pointedOut = $state.raw<Shape[]>([]);

  /** Return the shapes that can be seen, pointed at and walked over. */
  shown(counted: Shape[], notCounted: Shape[]): Shape[] {
    return [...(this.counted ? counted : []), ...(this.rejected ? notCounted : [])];
  }
}
