/** The server tells Harbor's version with its own behind it. */
export function ownVersion(version: string): string {
  return version.replace(/^.*-lighterage\./, "");
}
