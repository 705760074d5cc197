import { Typography } from "antd";
import type { ReactNode } from "react";

/** What stands in place of a page. Its pictures are signs that are loaded anyway: antd's Result has large ones. */
export function Message({ icon, title, text, children }: { icon: ReactNode; title: string; text: string; children?: ReactNode }) {
  return (
    <div className="message">
      <span className="message-icon" aria-hidden>{icon}</span>
      <Typography.Title level={1}>{title}</Typography.Title>
      <Typography.Paragraph type="secondary" className="break">{text}</Typography.Paragraph>
      {children}
    </div>
  );
}
