/** Words and colours for why a candidate is not counted; the colours are those of pipeline/explain.py. */

interface Reason {
  key: string;
  label: string;
  colour: string;
}

const REASONS: Reason[] = [
  { key: "low_score", label: "score too low", colour: "#ffa000" },
  { key: "low_stability", label: "unsure outline", colour: "#ffdc00" },
  { key: "duplicate_of", label: "duplicate", colour: "#c800ff" },
  { key: "inside", label: "part of another", colour: "#7850ff" },
  { key: "too_small", label: "too small", colour: "#00c8ff" },
  { key: "too_large", label: "too large", colour: "#005aff" },
  { key: "edge", label: "cut by the edge", colour: "#00dc78" },
  { key: "outside_roi", label: "outside the region", colour: "#969696" },
  { key: "other_type", label: "another kind", colour: "#ff50a0" },
  { key: "unlike_exemplar", label: "unlike the examples", colour: "#ff3c3c" },
  { key: "rule", label: "left out by a rule", colour: "#8c5a28" },
  { key: "human", label: "removed by hand", colour: "#ffffff" },
  { key: "faint", label: "seen too faintly", colour: "#ffcd8c" },
];
const UNKNOWN: Reason = { key: "other", label: "other reason", colour: "#cccccc" };

/** Return the reason behind a rejection such as `duplicate_of:17` or `other_type:nut`. */
export function reasonOf(rejection: string): Reason {
  const [key] = rejection.split(":");
  return REASONS.find((reason) => reason.key === key) ?? UNKNOWN;
}

/** Return the sentence part for people: `another kind (nut)`. */
export function describeRejection(rejection: string): string {
  const detail = rejection.split(":")[1];
  const { key, label } = reasonOf(rejection);
  return detail && ["other_type", "rule"].includes(key) ? `${label} (${detail})` : label;
}
