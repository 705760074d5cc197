// A plan as the server tells it: line by line, and a summary at the end.
import { ApiError, type PlanLine, type PlanSummary } from "./client";

export type PlanClass = "error" | "delete" | "conflict" | "overwrite" | "copy" | "skip";

/** What deserves a look comes first. */
export const planClasses: PlanClass[] = ["error", "delete", "conflict", "overwrite", "copy", "skip"];

/** Of each class so many lines are kept to be shown; the others are only counted. */
export const linesKept = 100;

export interface PlanSoFar {
  counts: Record<PlanClass, number>;
  lines: Record<PlanClass, PlanLine[]>;
  size: number; // bytes of what is copied, as far as the source told
  example?: PlanLine; // the first that has a name at both sides
  summary?: PlanSummary;
  ended?: string; // why the plan ended early
}

export function emptyPlan(): PlanSoFar {
  return {
    counts: { error: 0, delete: 0, conflict: 0, overwrite: 0, copy: 0, skip: 0 },
    lines: { error: [], delete: [], conflict: [], overwrite: [], copy: [], skip: [] }, size: 0,
  };
}

function add(plan: PlanSoFar, line: PlanLine): void {
  if (line.type === "summary") {
    if (line.summary != null) plan.summary = line.summary;
    return;
  }
  if (line.type === "error" && (line.src_repository ?? "") === "") {
    plan.ended = line.error ?? "";
    return;
  }
  const kind = line.type === "error" ? "error" : (line.action as PlanClass);
  if (!(kind in plan.counts)) return; // of a newer server
  plan.counts[kind]++;
  if (plan.lines[kind].length < linesKept) plan.lines[kind].push(line);
  if (kind === "copy" || kind === "overwrite") plan.size += line.size ?? 0;
  if (plan.example === undefined && (line.src_repository ?? "") !== "" && (line.dst_repository ?? "") !== "") plan.example = line;
}

/** Reads a plan and shows it as it grows, not more often than the screen is drawn. */
export async function readPlan(body: ReadableStream<Uint8Array>, signal: AbortSignal, show: (plan: PlanSoFar) => void): Promise<void> {
  const plan = emptyPlan();
  let rest = "";
  let drawn = 0;
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (signal.aborted) return;
    const texts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : texts.pop() ?? "";
    for (const text of texts) if (text !== "") add(plan, JSON.parse(text) as PlanLine);
    if (done) break;
    const now = performance.now();
    if (now - drawn > 150) {
      drawn = now;
      show({ ...plan });
    }
  }
  if (plan.summary === undefined && plan.ended === undefined) throw new ApiError(0, "", "the plan was cut off");
  show({ ...plan });
}

/** An error of a plan without the name that the rule has only for the server. */
export function plainly(text: string): string {
  return text.replace(/^plan replication policy \S+: /, "");
}
