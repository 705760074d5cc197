// Numbers, times and bytes as the language writes them.

export interface Formats {
  number(n: number): string;
  percent(part: number, whole: number): string;
  bytes(n: number): string;
  time(text: string | undefined | null): string;
  /** How long ago or ahead. */
  relative(text: string | undefined | null): string;
  duration(milliseconds: number): string;
}

/** Whether the API's time is one: the year 1 stands for "not yet". */
export function isTime(text: string | undefined | null): text is string {
  return text !== undefined && text !== null && text !== "" && !text.startsWith("0001-");
}

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

export function formats(tag: string): Formats {
  const plain = new Intl.NumberFormat(tag);
  const rough = new Intl.NumberFormat(tag, { maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 0 });
  const moment = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "medium" });
  const ago = new Intl.RelativeTimeFormat(tag, { numeric: "auto" });
  const unit = (n: number, unit: string) => new Intl.NumberFormat(tag, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(n);
  return {
    number: (n) => plain.format(n),
    percent: (part, whole) => percent.format(part >= whole ? 1 : Math.min(part / whole, 0.99)),
    bytes: (n) => {
      const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
      let step = 0;
      while (n >= 1024 && step < units.length - 1) {
        n /= 1024;
        step++;
      }
      return `${rough.format(n)} ${units[step] ?? ""}`;
    },
    time: (text) => (isTime(text) ? moment.format(new Date(text)) : ""),
    relative: (text) => {
      if (!isTime(text)) return "";
      const distance = new Date(text).getTime() - Date.now();
      const size = Math.abs(distance);
      if (size < minute) return ago.format(Math.round(distance / 1000), "second");
      if (size < hour) return ago.format(Math.round(distance / minute), "minute");
      if (size < day) return ago.format(Math.round(distance / hour), "hour");
      return ago.format(Math.round(distance / day), "day");
    },
    duration: (milliseconds) => {
      const ms = Math.max(0, milliseconds);
      if (ms < 1000) return unit(Math.round(ms), "millisecond");
      if (ms < minute) return unit(ms / 1000, "second");
      if (ms < hour) return `${unit(Math.floor(ms / minute), "minute")} ${unit(Math.floor((ms % minute) / 1000), "second")}`;
      return `${unit(Math.floor(ms / hour), "hour")} ${unit(Math.floor((ms % hour) / minute), "minute")}`;
    },
  };
}
