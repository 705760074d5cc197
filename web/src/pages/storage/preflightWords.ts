// The rows of a preflight in Chinese. The server says a row's name, the reason that tells
// causes apart, and the form and values of what was seen, which are all stable; a test of the
// server fails where words are missing. In English its own text is shown.
import type { Language } from "../../words";
import type { StoragePreflightRow } from "../../api/client";
import json from "../../words/zh/preflight.json";

interface Chinese { name: string; means: string; advice: string; reasons?: Record<string, { means?: string; advice?: string }> }

const rows: Record<string, Chinese> = json.rows;
const forms: Record<string, string> = json.found;

export interface RowWords {
  name: string;
  means: string;
  advice: string;
  found: string;
  /** Whether what was seen is in the server's words, which are English. */
  english: boolean;
}

/** A row in the user's language. */
export function rowWords(row: StoragePreflightRow, language: Language): RowWords {
  const server = { name: row.name.charAt(0).toUpperCase() + row.name.slice(1), means: row.means ?? "", advice: row.advice ?? "", found: row.found, english: true };
  const known = language === "zh" ? rows[row.name] : undefined;
  if (known === undefined) return server;
  const reason = known.reasons?.[row.reason ?? ""];
  const found = said(row.form ?? "", row.values ?? []);
  return {
    name: known.name, means: reason?.means ?? known.means, advice: server.advice === "" ? "" : lacking(row) ?? reason?.advice ?? known.advice,
    found: found ?? server.found, english: found === undefined,
  };
}

/** What to do where the keys lack a permission. */
function lacking(row: StoragePreflightRow): string | undefined {
  if (row.permission == null || row.permission === "") return undefined;
  return (row.state === "unknown" ? json.permissionUnknown : json.permission).replace("{}", row.permission);
}

/** What was seen: a form, to which more forms may be appended, with its values. */
function said(form: string, values: string[]): string | undefined {
  let text = forms[form];
  if (text === undefined) {
    const head = Object.keys(forms).filter((known) => /^[,;]/.test(known) && form.endsWith(known) && form !== known)[0];
    if (head === undefined) return undefined;
    const first = said(form.slice(0, -head.length), values);
    return first === undefined ? undefined : `${first}${forms[head]}`;
  }
  let next = 0;
  text = text.replace(/\{\}/g, () => values[next++] ?? "");
  return text;
}
