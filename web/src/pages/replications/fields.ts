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

  // more than Harbor's rules say
  names: string[];
  excludeNames: string[];
  nameRegex: string;
  tags: string[];
  excludeTags: string[];
  tagRegex: string;
  semver: string;
  newest: number | null;
  pushedSince: string;
  artifactTypes: string[];
  accessories: string;
  platforms: string[];
  platformMode: string;
  renameTemplate: string;
  renameRegex: string;
  includeExisting: boolean;
}

/** The fields of the folded part, by the name that the server gives them in its errors. */
export const moreFields: Partial<Record<string, keyof RuleFields>> = {
  "select.names": "names", "select.exclude_names": "excludeNames", "select.name_regex": "nameRegex", "select.tags": "tags", "select.exclude_tags": "excludeTags",
  "select.tag_regex": "tagRegex", "select.semver": "semver", "select.newest": "newest", "select.pushed_since": "pushedSince", "select.artifact_types": "artifactTypes",
  "accessories": "accessories", "platforms": "platforms", "platform_mode": "platformMode", "rename.template": "renameTemplate", "rename.regex": "renameRegex", "rename": "renameTemplate",
};

/** The field that an error of the server is about, and what it says of it. */
export function fieldError(message: string): { field: keyof RuleFields; text: string } | undefined {
  const match = /(?:^|: )(select\.\w+|rename(?:\.\w+)?|platforms|platform_mode|accessories): (.+)$/s.exec(message);
  const field = moreFields[match?.[1] ?? ""];
  return field === undefined ? undefined : { field, text: match?.[2] ?? message };
}

export type Decoration = "matches" | "excludes";

export const homeID = 0;
/** Namespaces that the server takes; empty is none. */
export const namespaceForm = /^\s*([a-z0-9]+(?:(?:\/|\.|__?|-+)[a-z0-9]+)*)?\s*$/;

const kbpsInMbps = 1024; // as Harbor's portal has it

/** Harbor's form as it opens for a new rule. */
export const newRule: RuleFields = {
  name: "", description: "", mode: "push", source: undefined, filterName: "", filterTag: "", tagDecoration: "matches", filterLabels: [], labelDecoration: "matches",
  resource: "", destinations: [], namespace: "", replaceCount: 1, trigger: "manual", cron: "", timeZone: "", deletion: false, speed: -1, unit: "Kbps",
  override: true, chunk: false, enabled: true, single: false,
  names: [], excludeNames: [], nameRegex: "", tags: [], excludeTags: [], tagRegex: "", semver: "", newest: null, pushedSince: "", artifactTypes: [],
  accessories: "all", platforms: [], platformMode: "sparse", renameTemplate: "", renameRegex: "", includeExisting: false,
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
    ...moreOf(p),
  };
}

function moreOf(p: Policy) {
  const s = p.select ?? {};
  return {
    names: s.names ?? [], excludeNames: s.exclude_names ?? [], nameRegex: s.name_regex ?? "", tags: s.tags ?? [], excludeTags: s.exclude_tags ?? [], tagRegex: s.tag_regex ?? "",
    semver: s.semver ?? "", newest: s.newest == null || s.newest === 0 ? null : s.newest, pushedSince: s.pushed_since ?? "", artifactTypes: s.artifact_types ?? [],
    accessories: p.accessories === "none" || p.accessories === "signed_only" ? p.accessories : "all", platforms: p.platforms ?? [], platformMode: p.platform_mode === "rewrite" ? "rewrite" : "sparse",
    renameTemplate: p.rename?.template ?? "", renameRegex: p.rename?.regex ?? "", includeExisting: p.include_existing === true,
  };
}

/** What is sent for a form; of the rule that is edited or copied, what the form does not show. */
export function policyOf(f: RuleFields, before: Policy | undefined): Policy {
  const select = selectionOf(f);
  const [template, regex] = [f.renameTemplate.trim(), f.renameRegex.trim()];
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
    select: Object.keys(select).length > 0 ? select : null,
    rename: template !== "" || regex !== "" ? { template, ...(regex !== "" && { regex }) } : null,
    platforms: f.platforms, platform_mode: f.platforms.length > 0 && f.platformMode === "rewrite" ? "rewrite" : "",
    accessories: f.accessories === "all" ? "" : f.accessories, include_existing: event && f.includeExisting,
  };
}

/** What is set of the further selection. */
function selectionOf(f: RuleFields): NonNullable<Policy["select"]> {
  const set = (text: string) => text.trim() !== "";
  return {
    ...(f.names.length > 0 && { names: f.names }), ...(f.excludeNames.length > 0 && { exclude_names: f.excludeNames }), ...(set(f.nameRegex) && { name_regex: f.nameRegex.trim() }),
    ...(f.tags.length > 0 && { tags: f.tags }), ...(f.excludeTags.length > 0 && { exclude_tags: f.excludeTags }), ...(set(f.tagRegex) && { tag_regex: f.tagRegex.trim() }),
    ...(set(f.semver) && { semver: f.semver.trim() }), ...(f.newest !== null && f.newest > 0 && { newest: f.newest }), ...(set(f.pushedSince) && { pushed_since: f.pushedSince.trim() }),
    ...(f.artifactTypes.length > 0 && { artifact_types: f.artifactTypes }),
  };
}

/** How many fields of the folded part say something. */
export function moreCount(f: RuleFields): number {
  return [
    f.names.length > 0, f.excludeNames.length > 0, f.nameRegex !== "", f.tags.length > 0, f.excludeTags.length > 0, f.tagRegex !== "", f.semver !== "", f.newest !== null,
    f.pushedSince !== "", f.artifactTypes.length > 0, f.accessories !== "all", f.platforms.length > 0, f.renameTemplate !== "" || f.renameRegex !== "",
    f.includeExisting && f.trigger === "event_based",
  ].filter(Boolean).length;
}

function filtersOf(f: RuleFields): Filter[] {
  const list: Filter[] = [];
  if (f.filterName.trim() !== "") list.push({ type: "name", value: f.filterName.trim() });
  if (f.filterTag.trim() !== "") list.push({ type: "tag", value: f.filterTag.trim(), decoration: f.tagDecoration });
  if (f.filterLabels.length > 0) list.push({ type: "label", value: f.filterLabels, decoration: f.labelDecoration });
  if (f.resource !== "") list.push({ type: "resource", value: f.resource });
  return list;
}

/** The name at the destination; undefined: the source's has too few levels. */
export function destinationName(repository: string, namespace: string, replaceCount: number): string | undefined {
  if (namespace === "") return repository;
  const parts = repository.split("/");
  if (replaceCount < 0) return `${namespace}/${parts[parts.length - 1] ?? ""}`;
  if (replaceCount >= parts.length) return undefined;
  return `${namespace}/${parts.slice(replaceCount).join("/")}`;
}
