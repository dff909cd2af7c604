/** Keeps the keyboard where a person is, when what has the focus goes away. */
import type { Attachment } from "svelte/attachments";

/**
 * Give the focus to the card that it was in, where that takes it (`tabindex="-1"`); call `leave` where the card
 * is gone, too. Whoever has since turned to something else, or clicked beside everything, is left alone.
 */
export const keepsFocus =
  (leave: () => void): Attachment<HTMLElement> =>
  (element) => {
    let last: HTMLElement | null = null;
    let card: HTMLElement | null = null;
    const hasNone = () => document.activeElement === document.body;
    const follow = ({ target }: FocusEvent) => {
      last = target instanceof HTMLElement && element.contains(target) ? target : null;
      card = last?.closest<HTMLElement>('[tabindex="-1"]') ?? null;
    };
    const forget = () => hasNone() && (last = null);
    const observer = new MutationObserver(() => {
      if (!last || last.isConnected || !hasNone()) return;
      last = null;
      if (card && element.contains(card)) card.focus({ preventScroll: true });
      else leave();
    });
    observer.observe(element, { childList: true, subtree: true });
    document.addEventListener("focusin", follow);
    document.addEventListener("click", forget, { capture: true }); // the focus has moved, nothing else has happened
    return () => {
      observer.disconnect();
      document.removeEventListener("focusin", follow);
      document.removeEventListener("click", forget, { capture: true });
    };
  };
