// What a user has chosen for this browser: language and theme. Nothing secret is kept.
import { createContext, useCallback, useContext, useMemo, useState, useSyncExternalStore, type ReactNode } from "react";
import { browserLanguage, type Language } from "./words";

export type Theme = "light" | "dark" | "system";

interface Settings {
  language: Language;
  theme: Theme;
  dark: boolean; // as the theme is shown
  setLanguage(language: Language): void;
  setTheme(theme: Theme): void;
}

const SettingsContext = createContext<Settings | undefined>(undefined);

function stored<T extends string>(key: string, allowed: readonly T[]): T | undefined {
  try {
    return allowed.find((value) => value === localStorage.getItem(key));
  } catch {
    return undefined; // a browser that keeps nothing
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // then it counts for this page only
  }
}

export function storedLanguage(): Language {
  return stored("language", ["en", "zh"]) ?? browserLanguage();
}

const darkQuery = matchMedia("(prefers-color-scheme: dark)");

function subscribe(changed: () => void): () => void {
  darkQuery.addEventListener("change", changed);
  return () => darkQuery.removeEventListener("change", changed);
}

export function SettingsProvider({ children }: { children: ReactNode }) {
  const [language, chooseLanguage] = useState(storedLanguage);
  const [theme, chooseTheme] = useState<Theme>(() => stored("theme", ["light", "dark", "system"]) ?? "system");
  const systemIsDark = useSyncExternalStore(subscribe, () => darkQuery.matches);
  const setLanguage = useCallback((value: Language) => {
    store("language", value);
    chooseLanguage(value);
  }, []);
  const setTheme = useCallback((value: Theme) => {
    store("theme", value);
    chooseTheme(value);
  }, []);
  const dark = theme === "dark" || (theme === "system" && systemIsDark);
  const value = useMemo(() => ({ language, theme, dark, setLanguage, setTheme }), [language, theme, dark, setLanguage, setTheme]);
  return <SettingsContext value={value}>{children}</SettingsContext>;
}

export function useSettings(): Settings {
  const settings = useContext(SettingsContext);
  if (settings === undefined) throw new Error("no settings");
  return settings;
}
