// How artifacts are called, and pulled.
import type { Artifact } from "../../api/client";
import { shortDigest } from "../../parts/copy";

/** A name that people know it by: its first tags, or its digest. */
export function nameOf(a: Artifact): string {
  const tags = (a.tags ?? []).map((t) => t.name ?? "");
  return tags.length === 0 ? shortDigest(a.digest) : `${shortDigest(a.digest)} (${tags.slice(0, 3).join(", ")}${tags.length > 3 ? ", …" : ""})`;
}

export function isIndex(a: Artifact): boolean {
  return (a.references ?? []).length > 0;
}

/** The command that brings an artifact to a machine: with the tag, or by the digest. */
export function pullCommand(host: string, a: Artifact, tag?: string): string {
  const name = `${host}/${a.repository_name}`;
  const reference = tag === undefined ? `${name}@${a.digest}` : `${name}:${tag}`;
  switch (a.type) {
    case "IMAGE": return `docker pull ${reference}`;
    case "CHART": return tag === undefined ? `helm pull oci://${reference}` : `helm pull oci://${name} --version ${tag.replace("_", "+")}`;
    case "CNAB": return `cnab-to-oci pull ${reference}`;
    default: return `oras pull ${reference}`;
  }
}

type Platform = { os?: string | undefined; architecture?: string | undefined; variant?: string | undefined } | null | undefined;

export function platformText(p: Platform): string {
  return [p?.os, p?.architecture, p?.variant].filter((part) => part !== undefined && part !== "").join("/");
}

/** The platforms of an index or of an image. What stands for none (attestations) is unknown/unknown. */
export function platformsOf(a: Artifact): string[] {
  const listed = (a.references ?? []).map((r) => platformText(r.platform)).filter((text) => text !== "" && text !== "unknown/unknown");
  if (listed.length > 0) return [...new Set(listed)];
  const { os, architecture } = (a.extra_attrs ?? {}) as { os?: string; architecture?: string };
  const own = platformText({ os, architecture });
  return own === "" ? [] : [own];
}

export function isSigned(a: Artifact): boolean {
  return (a.accessories ?? []).some((accessory) => accessory.type.startsWith("signature."));
}
