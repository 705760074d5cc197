import { theme, Typography } from "antd";
import { useEffect, type ReactNode } from "react";
import { useWords } from "../words";

/** The head of a page, and its name in the browser's. */
export function PageHead({ title, sub, extra }: { title: string; sub?: ReactNode; extra?: ReactNode }) {
  const words = useWords();
  useEffect(() => { document.title = `${title} · ${words.product}`; }, [title, words]);
  return (
    <div className="page-head">
      <h1>{title}</h1>
      {sub !== undefined && <Typography.Text type="secondary">{sub}</Typography.Text>}
      {extra !== undefined && <><span className="toolbar-space" />{extra}</>}
    </div>
  );
}

/** A part of a page with a ground of its own. */
export function Panel({ children, label }: { children: ReactNode; label?: string }) {
  const { token } = theme.useToken();
  return <section className="panel" aria-label={label} style={{ background: token.colorBgContainer, border: `1px solid ${token.colorBorderSecondary}` }}>{children}</section>;
}

/** What stands in a table without rows: what such rows are, and how to get one. */
export function Nothing({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  return (
    <div style={{ padding: "32px 8px" }}>
      <Typography.Text strong style={{ fontSize: 15 }}>{title}</Typography.Text>
      {text !== undefined && <Typography.Paragraph type="secondary" style={{ margin: "8px auto 16px", maxWidth: 560 }}>{text}</Typography.Paragraph>}
      {children}
    </div>
  );
}

export const pageSizes = [15, 25, 50, 100];
