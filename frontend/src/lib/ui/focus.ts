/** Keeps the keyboard where a person is, when what has the focus goes away. */
import type { Attachment } from "svelte/attachments";

/**
 * Give the focus to the card that it was in, where that takes it (`tabindex="-1"`); call `leave` where the card
 * is gone, too.
 */
export const keepsFocus =
  (leave: () => void): Attachment<HTMLElement> =>
  (element) => {
    let last: Element | null = null;
    let card: HTMLElement | null = null;
    element.addEventListener("focusin", ({ target }) => {
      last = target as Element;
      card = last.closest<HTMLElement>('[tabindex="-1"]');
    });
    const observer = new MutationObserver(() => {
      if (!last || last.isConnected || document.activeElement !== document.body) return;
      last = null;
      if (card && element.contains(card)) card.focus({ preventScroll: true });
      else leave();
    });
    observer.observe(element, { childList: true, subtree: true });
    return () => observer.disconnect();
  };
