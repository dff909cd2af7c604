/** The saved templates of this server, and what saving and using one means. */
import { listTemplates, saveTemplate } from "../api/jobs";
import type { CountConfig, Exemplar, Template } from "../api/types";
import { changeOfExemplars, mergedConfig } from "../job/changes";
import { isSamePlace } from "./exemplars";

/** Settings that hold for any photo; the others belong to one job. */
const KEPT = ["confidence_threshold", "min_area_px", "max_area_px", "exclude_edge"] as const;

class Templates {
  all = $state.raw<Template[]>([]);

  /** Fetch them; pages work without, so a failure leaves the list empty. */
  async load(): Promise<void> {
    try {
      this.all = await listTemplates();
    } catch {
      this.all = [];
    }
  }

  /** Return the template that a config says its settings came from; null when it is gone. */
  named(name: string | null | undefined): Template | null {
    return this.all.find((template) => template.name === name) ?? null;
  }

  async save(name: string, type: string, config: CountConfig): Promise<Template> {
    const template = await saveTemplate({ name, type, ...templateOf(config) });
    this.all = [...this.all, template].sort((a, b) => a.name.localeCompare(b.name));
    return template;
  }

  forget(gone: Template): void {
    this.all = this.all.filter((template) => template !== gone);
  }
}

/** One list for all pages; each page fetches it when it opens. */
export const templates = new Templates();

/** Return what of a job's settings a template keeps. */
export function templateOf(config: CountConfig): Pick<Template, "config" | "exemplars"> {
  const kept = KEPT.filter((key) => config[key] !== undefined).map((key) => [key, config[key]]);
  return { config: Object.fromEntries(kept), exemplars: config.exemplars ?? [] };
}

/** Return the change to a job's settings that using a template is. */
export function changeOfTemplate(base: CountConfig, template: Template): CountConfig {
  return { ...templateOf(template.config).config, ...changeOfExemplars(base, template.exemplars) };
}

/** Return whether settings are a template's: all its examples are among theirs, or without any its values hold. */
export function isUsed({ exemplars, config }: Template, now: CountConfig): boolean {
  if (exemplars.length) {
    return exemplars.every((one) => now.exemplars?.some((other) => isSamePlace(one, other)));
  }
  return KEPT.every((key) => config[key] === undefined || config[key] === now[key]);
}

/** Return the change to settings that leaving a template is: without its examples, and with the job's own settings. */
export function changeWithoutTemplate(base: CountConfig, now: CountConfig, template: Template): CountConfig {
  const isOther = (one: Exemplar) => !template.exemplars.some((other) => isSamePlace(one, other));
  const named = templateOf(template.config).config;
  const own = Object.entries(mergedConfig(base, {})).filter(([key]) => key in named);
  return { ...Object.fromEntries(own), ...changeOfExemplars(base, (now.exemplars ?? []).filter(isOther)) };
}
