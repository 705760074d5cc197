// The language of the console: words, and how numbers, times and bytes are written.
import { createContext, useContext } from "react";
import type { Locale } from "antd/es/locale";
import type { Words } from "./en";
import { formats, type Formats } from "./format";

export type Language = "en" | "zh";

export interface Tongue {
  language: Language;
  tag: string; // BCP 47
  words: Words;
  format: Formats;
  widgets: Locale; // texts of antd's own
  /** A text of the server in this language; undefined: it is only known as it is. */
  translated(text: string): string | undefined;
}

export const languages: Record<Language, string> = { en: "English", zh: "简体中文" };

/** The language of the browser, if there are words in it. */
export function browserLanguage(): Language {
  for (const tag of navigator.languages) {
    if (/^zh\b/i.test(tag)) return "zh";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}

/** Loads what one language needs, and only that. */
export async function loadTongue(language: Language): Promise<Tongue> {
  if (language === "zh") {
    const [{ zh }, { translated }, widgets] = await Promise.all([import("./zh"), import("./zh/causes"), import("antd/es/locale/zh_CN")]);
    return { language, tag: "zh-CN", words: zh, format: formats("zh-CN"), widgets: widgets.default, translated };
  }
  const [{ en }, widgets] = await Promise.all([import("./en"), import("antd/es/locale/en_US")]);
  return { language, tag: "en", words: en, format: formats("en"), widgets: widgets.default, translated: () => undefined };
}

export const TongueContext = createContext<Tongue | undefined>(undefined);

export function useTongue(): Tongue {
  const tongue = useContext(TongueContext);
  if (tongue === undefined) throw new Error("no language is loaded");
  return tongue;
}

export function useWords(): Words {
  return useTongue().words;
}
