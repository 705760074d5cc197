// Errors, in the user's language where the text is known, and what the server said.
import { Alert, App, Button, Typography } from "antd";
import type { ReactNode } from "react";
import { UnreachableError } from "../api/client";
import { useTongue } from "../words";

/** A text of the server; one that was translated has the original below it. */
export function Said({ text }: { text: string }) {
  const { translated, words } = useTongue();
  const known = translated(text);
  if (known === undefined) return <span className="reason">{capital(text)}</span>;
  return (
    <>
      <span className="reason">{known}</span>
      <Typography.Text type="secondary" className="explain reason" lang="en">{words.common.original}: {text}</Typography.Text>
    </>
  );
}

/** Begins a sentence with a capital, but no address. */
function capital(text: string): string {
  if (/^[^ ]*[:/.\d]/.test(text)) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function useErrorText(): (error: unknown) => string {
  const { words } = useTongue();
  return (error) => {
    if (error instanceof UnreachableError) return words.common.unreachable;
    return error instanceof Error ? error.message : String(error);
  };
}

/** What went wrong, in place of what should be there. */
export function Failure({ error, title, retry }: { error: unknown; title?: ReactNode; retry?: () => void }) {
  const { words } = useTongue();
  const text = useErrorText();
  return (
    <Alert type="error" showIcon role="alert" title={title ?? words.common.failed} description={<Said text={text(error)} />}
      action={retry === undefined ? undefined : <Button size="small" onClick={retry}>{words.common.retry}</Button>} />
  );
}

/** Tells how an action went. */
export function useTell(): { done(text: ReactNode): void; failed(error: unknown): void } {
  const { message, notification } = App.useApp();
  const { words } = useTongue();
  const text = useErrorText();
  return {
    done: (content) => void message.success(content),
    failed: (error) => notification.error({ title: words.common.failed, description: <Said text={text(error)} />, duration: 0, role: "alert" }),
  };
}
