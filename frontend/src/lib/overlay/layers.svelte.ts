/** What is shown over the photo, and what a click does. */

export type Tool = "select" | "add" | "remove";

export class Layers {
  counted = $state(true);
  numbers = $state(true);
  rejected = $state(false);
  heatmap = $state(false);
}
