import type { Policy } from "../../api/client";
import type { Words } from "../../words/en";

/** The rules that go to a registry or come from it. */
export function rulesOf(policies: Policy[] | undefined, registry: number): Policy[] {
  return (policies ?? []).filter((p) => p.src_registry?.id === registry || p.dest_registry?.id === registry || p.more_dest_registries?.some((r) => r.id === registry));
}

export function providerName(words: Words, type: string | undefined): string {
  return words.registries.providers[type ?? ""] ?? type ?? "";
}
