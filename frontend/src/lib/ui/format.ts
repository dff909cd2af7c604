/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat();
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export const formatCount = (value: number | null | undefined) => (value == null ? "–" : whole.format(value));

/** Return a difference with its sign, "" for none. */
export const formatChange = (value: number) =>
  value === 0 ? "" : `${value > 0 ? "+" : "−"}${whole.format(Math.abs(value))}`;

/** Return an interval as people read it; nothing is exact where somebody is asked to look. */
export function formatInterval(interval: [number, number] | null | undefined, isAsked = false): string {
  if (!interval) return "";
  const [low, high] = interval;
  if (low === high) return isAsked ? formatCount(low) : `exactly ${formatCount(low)}`;
  return `${formatCount(low)}–${formatCount(high)}`;
}

export const formatTime = (iso: string) => dateTime.format(new Date(iso));

export const formatDay = (iso: string) => day.format(new Date(iso));

export function formatBytes(bytes: number): string {
  if (bytes < 2 ** 20) return `${Math.max(1, Math.round(bytes / 1024))} kB`;
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

/** Return whether enough of a job is done to tell how long the rest takes. */
export const canTellRemaining = (percent: number, nPhotos: number) => percent >= 10 || nPhotos >= 2;

/** Return how long until `iso`, roughly; "" when it has passed or is unknown. */
export function formatRemaining(iso: string | null, now = Date.now()): string {
  const seconds = iso ? Math.round((Date.parse(iso) - now) / 1000) : 0;
  if (!(seconds > 0)) return "";
  return seconds < 90 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`;
}

export const plural = (n: number, one: string) => `${formatCount(n)} ${one}${n === 1 ? "" : "s"}`;

const IRREGULAR: Record<string, string> = {
  ...{ person: "people", fish: "fish", sheep: "sheep", mouse: "mice", leaf: "leaves", loaf: "loaves" },
  ...{ tomato: "tomatoes", potato: "potatoes", bacterium: "bacteria", bacteria: "bacteria", die: "dice" },
  ...{ knife: "knives", people: "people", dice: "dice", nuclei: "nuclei", nucleus: "nuclei", rice: "rice" },
};

/** What comes after one of these says more of the things that are named before it. */
const NAMED_BEFORE = /^(.+?)( (?:of|on|in|with|without|at|from|for|near|under|inside) .*)$/i;

/** Return what a person called things, for `n` of them; what looks like a plural stays one. */
export function nounFor(n: number | null | undefined, words: string): string {
  const [, things = "", more = ""] = NAMED_BEFORE.exec(words) ?? [];
  if (more) return nounFor(n, things) + more;
  const [, before = "", last = ""] = /^(.*?)([a-z]+)$/i.exec(words) ?? [];
  if (n === 1 || !last) return words;
  const known = IRREGULAR[last.toLowerCase()];
  if (known) return before + known;
  if (/[^su]s$/i.test(last) && !/is$/i.test(last)) return words;
  if (/(s|x|z|ch|sh)$/i.test(last)) return `${words}es`;
  return /[^aeiou]y$/i.test(last) ? `${words.slice(0, -1)}ies` : `${words}s`;
}
