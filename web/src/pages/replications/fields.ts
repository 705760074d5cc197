// A rule as its form has it, and back. What the form does not show stays as it was.
import type { Filter, Policy } from "../../api/client";

export interface RuleFields {
  name: string;
  description: string;
  mode: "push" | "pull";
  source: number | undefined;
  filterName: string;
  filterTag: string;
  tagDecoration: Decoration;
  filterLabels: string[];
  labelDecoration: Decoration;
  resource: string;
  destinations: number[];
  namespace: string;
  replaceCount: number;
  trigger: string;
  cron: string;
  timeZone: string;
  deletion: boolean;
  speed: number;
  unit: "Kbps" | "Mbps";
  override: boolean;
  chunk: boolean;
  enabled: boolean;
  single: boolean;
}

export type Decoration = "matches" | "excludes";

export const homeID = 0;
const kbpsInMbps = 1024; // as Harbor's portal has it

/** Harbor's form as it opens for a new rule. */
export const newRule: RuleFields = {
  name: "", description: "", mode: "push", source: undefined, filterName: "", filterTag: "", tagDecoration: "matches", filterLabels: [], labelDecoration: "matches",
  resource: "", destinations: [], namespace: "", replaceCount: 1, trigger: "manual", cron: "", timeZone: "", deletion: false, speed: -1, unit: "Kbps",
  override: true, chunk: false, enabled: true, single: false,
};

function filterOf(p: Policy, type: string): Filter | undefined {
  return p.filters?.find((f) => f.type === type);
}

function textOf(f: Filter | undefined): string {
  return typeof f?.value === "string" ? f.value : "";
}

function decorationOf(f: Filter | undefined): Decoration {
  return f?.decoration === "excludes" ? "excludes" : "matches";
}

export function isPush(p: Policy): boolean {
  return (p.src_registry?.id ?? homeID) === homeID;
}

export function destinationsOf(p: Policy): { id: number; name: string }[] {
  return [p.dest_registry, ...(p.more_dest_registries ?? [])].map((r) => ({ id: r?.id ?? homeID, name: r?.name ?? "" }));
}

export function fieldsOf(p: Policy): RuleFields {
  const tag = filterOf(p, "tag");
  const label = filterOf(p, "label");
  const speed = p.speed != null && p.speed > 0 ? p.speed : -1;
  const mega = speed > 0 && speed % kbpsInMbps === 0;
  return {
    name: p.name ?? "", description: p.description ?? "", mode: isPush(p) ? "push" : "pull", source: isPush(p) ? undefined : p.src_registry?.id,
    filterName: textOf(filterOf(p, "name")), filterTag: textOf(tag), tagDecoration: decorationOf(tag),
    filterLabels: Array.isArray(label?.value) ? (label.value as string[]) : [], labelDecoration: decorationOf(label), resource: textOf(filterOf(p, "resource")),
    destinations: destinationsOf(p).map((d) => d.id), namespace: p.dest_namespace ?? "", replaceCount: p.dest_namespace_replace_count ?? -1,
    trigger: p.trigger?.type ?? "manual", cron: p.trigger?.trigger_settings?.cron ?? "", timeZone: p.trigger?.trigger_settings?.time_zone ?? "",
    deletion: p.deletion === true || p.replicate_deletion === true, speed: mega ? speed / kbpsInMbps : speed, unit: mega ? "Mbps" : "Kbps",
    override: p.override === true, chunk: p.copy_by_chunk === true, enabled: p.enabled === true, single: p.single_active_replication === true,
  };
}

/** What is sent for a form; of the rule that is edited or copied, what the form does not show. */
export function policyOf(f: RuleFields, before: Policy | undefined): Policy {
  const push = f.mode === "push";
  const event = f.trigger === "event_based" && push;
  const [first = homeID, ...more] = f.destinations;
  const { next_run_time: _next, creation_time: _created, update_time: _updated, ...kept } = before ?? {};
  return {
    ...kept,
    name: f.name.trim(), description: f.description,
    src_registry: push ? null : { id: f.source ?? homeID },
    dest_registry: { id: first }, more_dest_registries: more.map((id) => ({ id })),
    filters: filtersOf(f),
    dest_namespace: f.namespace.trim(), dest_namespace_replace_count: f.replaceCount,
    trigger: { type: f.trigger, trigger_settings: f.trigger === "scheduled" ? { cron: f.cron.trim(), ...(f.timeZone !== "" && { time_zone: f.timeZone }) } : { cron: "" } },
    deletion: event && f.deletion, replicate_deletion: event && f.deletion,
    speed: f.speed > 0 && f.unit === "Mbps" ? f.speed * kbpsInMbps : f.speed,
    override: f.override, copy_by_chunk: f.chunk, enabled: f.enabled, single_active_replication: f.single && !event,
  };
}

function filtersOf(f: RuleFields): Filter[] {
  const list: Filter[] = [];
  if (f.filterName.trim() !== "") list.push({ type: "name", value: f.filterName.trim() });
  if (f.filterTag.trim() !== "") list.push({ type: "tag", value: f.filterTag.trim(), decoration: f.tagDecoration });
  if (f.filterLabels.length > 0) list.push({ type: "label", value: f.filterLabels, decoration: f.labelDecoration });
  if (f.resource !== "") list.push({ type: "resource", value: f.resource });
  return list;
}

const shown = new Set([
  "id", "name", "description", "src_registry", "dest_registry", "more_dest_registries", "filters", "dest_namespace", "dest_namespace_replace_count", "trigger",
  "deletion", "replicate_deletion", "speed", "override", "copy_by_chunk", "enabled", "single_active_replication", "creation_time", "update_time", "next_run_time",
]);

/** What a rule says that the form does not show. */
export function extrasOf(p: Policy | undefined): string[] {
  if (p === undefined) return [];
  const named = new Set(["select", "rename", "platforms", "accessories"]);
  const found = new Set<string>();
  for (const [name, value] of Object.entries(p)) {
    if (shown.has(name) || value === null || value === undefined || value === "" || value === false || value === 0) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    found.add(named.has(name) ? name : name === "platform_mode" ? "platforms" : "other");
  }
  return [...found];
}

/** The name at the destination; undefined: the source's has too few levels. */
export function destinationName(repository: string, namespace: string, replaceCount: number): string | undefined {
  if (namespace === "") return repository;
  const parts = repository.split("/");
  if (replaceCount < 0) return `${namespace}/${parts[parts.length - 1] ?? ""}`;
  if (replaceCount >= parts.length) return undefined;
  return `${namespace}/${parts.slice(replaceCount).join("/")}`;
}

/** A repository that a pattern of names could match, to show what becomes of it. */
export function exampleFor(pattern: string): string {
  const plain = pattern.trim().replace(/\{([^,}]*)[^}]*\}/g, "$1");
  if (plain === "" || plain === "**") return "library/base/alpine";
  const filled = plain.replace(/\*\*/g, "base/alpine").replace(/\*/g, "alpine").replace(/\?/g, "a").replace(/\[[^\]]*\]/g, "a");
  return filled.includes("/") ? filled : `library/${filled}`;
}

/** Whether braces and brackets of a pattern match. */
export function isPattern(text: string): boolean {
  let open = "";
  for (const c of text) {
    if (c === "{" || c === "[") {
      if (open !== "") return false;
      open = c;
    } else if (c === "}" || c === "]") {
      if (open !== (c === "}" ? "{" : "[")) return false;
      open = "";
    }
  }
  return open === "";
}
