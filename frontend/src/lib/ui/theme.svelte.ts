/** Light or dark: the system's choice unless the person made another one, which is remembered here. */

type Theme = "system" | "light" | "dark";
const KEY = "tally.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

class ThemeChoice {
  value = $state<Theme>(stored());

  apply(): void {
    if (this.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.value;
  }

  cycle(): void {
    this.value = NEXT[this.value];
    this.apply();
    try {
      localStorage.setItem(KEY, this.value);
    } catch {
      // Private windows may refuse storage; the choice then lasts for this page.
    }
  }
}

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export const theme = new ThemeChoice();
