/** The saved templates of this server, and what saving and using one means. */
import { listTemplates, saveTemplate } from "../api/jobs";
import type { CountConfig, Template } from "../api/types";
import { changeOfExemplars } from "../job/changes";

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
