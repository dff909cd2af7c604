/** What is shown over the photo, and what a click does. */

export type Tool = "select" | "add" | "remove";

export interface Layers {
  counted: boolean;
  numbers: boolean;
  rejected: boolean;
  heatmap: boolean;
}

export const defaultLayers = (): Layers => ({
  counted: true,
  numbers: true,
  rejected: false,
  heatmap: false,
});
