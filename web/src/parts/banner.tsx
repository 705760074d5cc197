// The banner that everybody sees: plain text, or the JSON in which Harbor's portal keeps
// a type, dates and whether it may be closed.
import { Alert } from "antd";
import { useEffect, useState } from "react";

export const bannerTypes = ["success", "info", "warning", "danger"] as const;

export interface BannerMessage {
  message: string;
  type: (typeof bannerTypes)[number];
  closable: boolean;
  from?: Date;
  to?: Date;
}

/** Reads the setting; what is not Harbor's JSON is a message as it is. */
export function readBanner(text: string): BannerMessage {
  const plain: BannerMessage = { message: text, type: "info", closable: false };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return plain;
  }
  if (typeof parsed !== "object" || parsed === null || !("message" in parsed) || typeof parsed.message !== "string") return plain;
  const kept = parsed as { message: string; type?: unknown; closable?: unknown; fromDate?: unknown; toDate?: unknown };
  return {
    message: kept.message, type: bannerTypes.find((type) => type === kept.type) ?? "warning", closable: kept.closable === true,
    from: date(kept.fromDate), to: date(kept.toDate),
  };
}

function date(value: unknown): Date | undefined {
  const read = typeof value === "string" ? new Date(value) : undefined;
  return read === undefined || Number.isNaN(read.getTime()) ? undefined : read;
}

/** Writes what Harbor's portal writes; without a message there is no banner. */
export function writeBanner({ message, type, closable, from, to }: BannerMessage): string {
  return message.trim() === "" ? "" : JSON.stringify({ closable, message, type, fromDate: from, toDate: to });
}

const longest = 2 ** 31 - 1; // milliseconds that a timer can wait

/** Shows the banner from its beginning to its end, by the server's clock, which was ahead of this one's by so much. */
export function Banner({ text, ahead }: { text: string; ahead: number }) {
  const { message, type, closable, from, to } = readBanner(text);
  const [now, setNow] = useState(() => Date.now());
  const server = now + ahead;
  const next = [from, to].map((d) => (d?.getTime() ?? 0) - server).filter((wait) => wait >= 0).sort((a, b) => a - b)[0];
  useEffect(() => {
    if (next === undefined) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), Math.min(next + 1, longest));
    return () => clearTimeout(timer);
  }, [next, now]);
  if (message === "" || (from !== undefined && server < from.getTime()) || (to !== undefined && server > to.getTime())) return null;
  return <Alert banner className="frame-banner" type={type === "danger" ? "error" : type} closable={closable} title={message} data-testid="banner" />;
}
