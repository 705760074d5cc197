// Text that people take with them.
import { Typography } from "antd";
import { useWords } from "../words";

/** A text with a button that copies it, or another one. */
export function Copyable({ text, children, code = true }: { text: string; children?: string; code?: boolean }) {
  const { repositories: words } = useWords();
  return (
    <Typography.Text className={code ? "code" : "break"} copyable={{ text, tooltips: [words.copy, words.copied] }} title={children === undefined ? undefined : text}>
      {children ?? text}
    </Typography.Text>
  );
}

/** A command on a ground of its own. */
export function Command({ text }: { text: string }) {
  return <div className="command"><Copyable text={text} /></div>;
}

export function shortDigest(digest: string | undefined): string {
  return (digest ?? "").replace(/^(sha\d+:)([0-9a-f]{8})[0-9a-f]*$/, "$1$2");
}
