import { BgColorsOutlined, GlobalOutlined } from "@ant-design/icons";
import { Button, Dropdown } from "antd";
import { useSettings, type Theme } from "../settings";
import { languages, useWords, type Language } from "../words";

export function LanguageChooser() {
  const { language, setLanguage } = useSettings();
  const words = useWords();
  const items = (Object.keys(languages) as Language[]).map((key) => ({
    key, label: <span lang={key}>{languages[key]}</span>, onClick: () => setLanguage(key),
  }));
  return (
    <Dropdown menu={{ items, selectable: true, selectedKeys: [language] }} trigger={["click"]}>
      <Button type="text" icon={<GlobalOutlined />} aria-label={`${words.nav.language}: ${languages[language]}`} title={words.nav.language} data-testid="language" />
    </Dropdown>
  );
}

export function ThemeChooser() {
  const { theme, setTheme } = useSettings();
  const words = useWords();
  const items = (["light", "dark", "system"] as Theme[]).map((key) => ({ key, label: words.nav.themes[key], onClick: () => setTheme(key) }));
  return (
    <Dropdown menu={{ items, selectable: true, selectedKeys: [theme] }} trigger={["click"]}>
      <Button type="text" icon={<BgColorsOutlined />} aria-label={`${words.nav.theme}: ${words.nav.themes[theme]}`} title={words.nav.theme} data-testid="theme" />
    </Dropdown>
  );
}
