// Patterns of names and tags, as the server understands them: what they look like, and
// whether a name matches.

/** What a pattern says in the simple cases; texts are alternatives. */
export type Shape =
  | { kind: "all" }
  | { kind: "exactly" | "begins" | "ends" | "contains" | "inProject" | "below" | "directly" | "named"; texts: string[] }
  | { kind: "between"; from: string; to: string }
  | { kind: "like" };

const wild = /[*?[\]{}\\]/;

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

/** The patterns that one with braces stands for, if they are few. */
function alternatives(pattern: string): string[] {
  const found = /^([^{}]*)\{([^{}]*)\}(.*)$/s.exec(pattern);
  if (found === null) return [pattern];
  const [, before = "", inside = "", after = ""] = found;
  const list = inside.split(",").flatMap((part) => alternatives(before + part + after));
  return list.length > 8 ? [pattern] : list;
}

function tagShape(tag: string): Shape {
  const pattern = tag.replace(/\*+/g, "*");
  if (pattern === "*") return { kind: "all" };
  if (!wild.test(pattern)) return { kind: "exactly", texts: [pattern] };
  const [first = "", middle, last, ...rest] = pattern.split("*");
  if (rest.length > 0 || [first, middle, last].some((part) => part !== undefined && wild.test(part))) return { kind: "like" };
  if (last === undefined) {
    if (middle === "") return { kind: "begins", texts: [first] };
    return first === "" ? { kind: "ends", texts: [middle ?? ""] } : { kind: "between", from: first, to: middle ?? "" };
  }
  return first === "" && last === "" ? { kind: "contains", texts: [middle ?? ""] } : { kind: "like" };
}

function nameShape(pattern: string): Shape {
  if (pattern === "**") return { kind: "all" };
  if (!wild.test(pattern)) return { kind: "exactly", texts: [pattern] };
  const parts = pattern.split("/");
  const last = parts.pop() ?? "";
  const head = parts.join("/");
  if (head === "**" && !wild.test(last)) return { kind: "named", texts: [last] };
  if (head === "" || wild.test(head)) return { kind: "like" };
  if (last === "**") return { kind: parts.length === 1 ? "inProject" : "below", texts: [head] };
  return last === "*" ? { kind: "directly", texts: [head] } : { kind: "like" };
}

/** What a pattern of tags or of repository names says. */
export function shapeOf(pattern: string, of: "tag" | "name"): Shape {
  const text = pattern.trim();
  if (text === "") return { kind: "all" };
  if (!isPattern(text)) return { kind: "like" };
  const shapes = alternatives(text).map(of === "tag" ? tagShape : nameShape);
  const [first] = shapes;
  if (first === undefined || shapes.some((s) => s.kind !== first.kind)) return { kind: "like" };
  if (!("texts" in first)) return shapes.length === 1 ? first : first.kind === "all" ? first : { kind: "like" };
  return { kind: first.kind, texts: shapes.flatMap((s) => ("texts" in s ? s.texts : [])) };
}

/** The signs of a pattern that mean something. */
export function signsOf(pattern: string): string[] {
  const signs: [string, RegExp][] = [["**", /\*\*/], ["*", /(^|[^*])\*($|[^*])/], ["?", /\?/], ["[]", /\[/], ["{}", /\{/]];
  return signs.filter(([, form]) => form.test(pattern)).map(([sign]) => sign);
}

/** Whether a name matches, to find an example; what is odd matches nothing. */
export function matches(pattern: string, name: string): boolean {
  const text = pattern.trim();
  if (text === "" || text === "**") return true;
  let form = "";
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (text.startsWith("**/", i)) { form += "(?:.*/)?"; i += 2; }
    else if (text.startsWith("/**", i) && i + 3 === text.length) { form += "(?:/.*)?"; i += 2; }
    else if (text.startsWith("**", i)) { form += ".*"; i++; }
    else if (c === "*") form += "[^/]*";
    else if (c === "?") form += "[^/]";
    else if (c === "{") form += "(?:";
    else if (c === "}") form += ")";
    else if (c === ",") form += "|";
    else if (c === "[" || c === "]" || c === "-" || c === "^") form += c;
    else form += c.replace(/[.+()|$\\]/g, "\\$&");
  }
  try {
    return new RegExp(`^(?:${form})$`).test(name);
  } catch {
    return false;
  }
}

/** A repository that a pattern could match, where none is known that does. */
export function invented(pattern: string): string {
  const plain = pattern.trim().replace(/\{([^,}]*)[^}]*\}/g, "$1");
  if (plain === "" || plain === "**") return "library/base/alpine";
  const filled = plain.replace(/\*\*/g, "base/alpine").replace(/\*/g, "alpine").replace(/\?/g, "a").replace(/\[[^\]]*\]/g, "a");
  return filled.includes("/") ? filled : `library/${filled}`;
}
