// Colours: antd's with enough contrast for text (WCAG AA) in light and in dark.
import { theme as antd, type ThemeConfig } from "antd";

const light: ThemeConfig = {
  algorithm: antd.defaultAlgorithm,
  token: {
    colorPrimary: "#0b5cad",
    colorInfo: "#0b5cad",
    colorLink: "#0b5cad",
    colorSuccess: "#2b7a0b",
    colorWarning: "#9a5b00",
    colorError: "#c5221f",
    colorInfoBg: "#e8f2fd",
    colorInfoBorder: "#a9cdf2",
    colorSuccessBg: "#eefae6",
    colorSuccessBorder: "#b3dd9c",
    colorWarningBg: "#fff6e5",
    colorWarningBorder: "#f5cd8a",
    colorErrorBg: "#fff0ef",
    colorErrorBorder: "#f6b9b5",
    colorTextSecondary: "rgba(0, 0, 0, 0.68)",
    colorTextTertiary: "rgba(0, 0, 0, 0.62)",
    colorTextDescription: "rgba(0, 0, 0, 0.62)",
    colorTextPlaceholder: "rgba(0, 0, 0, 0.6)",
    colorTextDisabled: "rgba(0, 0, 0, 0.57)",
    colorBgLayout: "#f3f5f8",
  },
  components: { Layout: { headerBg: "#ffffff", siderBg: "#ffffff" } },
};

const dark: ThemeConfig = {
  algorithm: antd.darkAlgorithm,
  token: {
    colorPrimary: "#2f7fd6",
    colorInfo: "#2f7fd6",
    colorLink: "#7cbcff",
    colorLinkHover: "#a6d2ff",
    colorSuccess: "#5cb332",
    colorWarning: "#e0a020",
    colorError: "#f0605c",
    colorErrorText: "#ff8f8a",
    colorTextSecondary: "rgba(255, 255, 255, 0.75)",
    colorTextTertiary: "rgba(255, 255, 255, 0.68)",
    colorTextDescription: "rgba(255, 255, 255, 0.68)",
    colorTextPlaceholder: "rgba(255, 255, 255, 0.6)",
    colorTextDisabled: "rgba(255, 255, 255, 0.55)",
  },
  components: {
    Layout: { headerBg: "#1a1a1a", siderBg: "#1a1a1a" },
    Menu: { itemSelectedColor: "#9ccdff", horizontalItemSelectedColor: "#9ccdff" },
    Tabs: { itemSelectedColor: "#7cbcff", itemHoverColor: "#a6d2ff", inkBarColor: "#7cbcff" },
    Radio: { buttonCheckedBg: "#1a1a1a" },
  },
};

export function themeOf(isDark: boolean): ThemeConfig {
  const base = isDark ? dark : light;
  return {
    ...base,
    token: {
      ...base.token,
      fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif',
      fontFamilyCode: 'ui-monospace, "SF Mono", Menlo, Consolas, "Noto Sans Mono", monospace',
      borderRadius: 6,
    },
  };
}
