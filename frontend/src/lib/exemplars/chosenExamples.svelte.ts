/** Examples drawn on photos that are chosen but not sent yet: their photos have local ids. */
import type { Exemplar } from "../api/types";
import type { SelectedFile } from "../files/selection.svelte";
import type { Size } from "../overlay/viewport";
import { withExemplar } from "./exemplars";

export const localId = ({ key }: Pick<SelectedFile, "key">) => `local:${key}`;

export class ChosenExamples {
  list = $state.raw<Exemplar[]>([]);
  /** Pixels of the photos that were opened, turned as they are shown. */
  sizes = $state.raw<Record<string, Size>>({});

  opened(id: string, size: Size): void {
    this.sizes = { ...this.sizes, [id]: size };
  }

  add(exemplar: Exemplar): void {
    this.list = withExemplar(this.list, exemplar);
  }

  remove(exemplar: Exemplar): void {
    this.list = this.list.filter((one) => one !== exemplar);
  }

  /** Forget the examples of a photo that is left out. */
  forget(id: string): void {
    this.list = this.list.filter((one) => one.file_id !== id);
  }
}

/** Return the examples with the ids that the server gave the photos, both lists in one order. */
export function withFileIds(exemplars: Exemplar[], localIds: string[], fileIds: string[]): Exemplar[] {
  return exemplars.map((exemplar) => {
    const fileId = fileIds[localIds.indexOf(exemplar.file_id ?? "")];
    if (!fileId) throw new Error(`the server did not take the photo of the example ${exemplar.file_id}`);
    return { ...exemplar, file_id: fileId };
  });
}
