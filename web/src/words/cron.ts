// A cron string of six fields in words, or what is wrong with it.
import type { Language } from ".";
import type { Words } from "./en";

export interface CronReading {
  text?: string; // in words
  error?: string;
}

interface Field {
  low: number;
  high: number;
  names?: string[];
}

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fields: Field[] = [
  { low: 0, high: 59 }, { low: 0, high: 59 }, { low: 0, high: 23 }, { low: 1, high: 31 },
  { low: 1, high: 12, names: months }, { low: 0, high: 6, names: weekdays },
];

/** The values that a field stands for; undefined: it cannot be understood. */
function values(text: string, field: Field): number[] | undefined {
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^([^/]+)(?:\/(\d+))?$/.exec(part);
    if (match === null) return undefined;
    const [, range = "", stepText] = match;
    const step = stepText === undefined ? 1 : Number(stepText);
    if (step < 1) return undefined;
    let low = field.low;
    let high = field.high;
    if (range !== "*" && range !== "?") {
      const [from = "", to, ...rest] = range.split("-");
      if (rest.length > 0) return undefined;
      const first = single(from, field);
      const last = to === undefined ? (stepText === undefined ? first : field.high) : single(to, field);
      if (first === undefined || last === undefined || first > last) return undefined;
      low = first;
      high = last;
    }
    for (let n = low; n <= high; n += step) found.add(n);
  }
  return [...found].sort((a, b) => a - b);
}

function single(text: string, field: Field): number | undefined {
  const named = field.names?.indexOf(text.toUpperCase()) ?? -1;
  if (named >= 0) return named + field.low;
  if (!/^\d+$/.test(text)) return undefined;
  const n = Number(text);
  return n >= field.low && n <= field.high ? n : undefined;
}

const isAll = (text: string) => text === "*" || text === "?";

export function readCron(cron: string, language: Language, tag: string, words: Words["cron"]): CronReading {
  const parts = cron.trim().split(/\s+/).filter((part) => part !== "");
  if (parts.length !== 6) return { error: words.fields(parts.length) };
  if (parts[0] !== "0") return { error: words.second };
  if (parts[1] === "*") return { error: words.minute };
  const sets: number[][] = [];
  for (const [i, field] of fields.entries()) {
    const set = values(parts[i] ?? "", field);
    if (set === undefined) return { error: words.bad(parts[i] ?? "") };
    sets.push(set);
  }
  return { text: inWords(parts, sets, language, tag) };
}

function inWords(parts: string[], sets: number[][], language: Language, tag: string): string {
  const [, minutes = [], hours = [], days = [], monthSet = [], weekdaySet = []] = sets;
  const list = (items: string[]) => new Intl.ListFormat(tag, { type: "conjunction" }).format(items);
  const monthName = (n: number) => new Intl.DateTimeFormat(tag, { month: "long", timeZone: "UTC" }).format(Date.UTC(2024, n - 1, 1));
  const weekdayName = (n: number) => new Intl.DateTimeFormat(tag, { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2024, 8, 1 + n));
  const two = (n: number) => String(n).padStart(2, "0");
  const zh = language === "zh";

  let time: string;
  const minuteStep = /^\*\/(\d+)$/.exec(parts[1] ?? "")?.[1];
  if (isAll(parts[2] ?? "")) {
    if (minuteStep !== undefined) time = zh ? `每 ${minuteStep} 分钟` : `every ${minuteStep} minutes`;
    else time = zh ? `每小时的第 ${list(minutes.map(String))} 分` : `every hour at minute ${list(minutes.map(String))}`;
  } else if (minutes.length * hours.length <= 6) {
    const times = hours.flatMap((h) => minutes.map((m) => `${two(h)}:${two(m)}`));
    time = zh ? list(times) : `at ${list(times)}`;
  } else {
    const at = minuteStep !== undefined
      ? (zh ? `每 ${minuteStep} 分钟` : `every ${minuteStep} minutes`)
      : (zh ? `第 ${list(minutes.map(String))} 分` : `at minute ${list(minutes.map(String))}`);
    const during = list(hours.map((h) => zh ? `${h} 时` : String(h)));
    time = zh ? `${during}内${at}` : `${at} of the hours ${during}`;
  }

  const conditions: string[] = [];
  if (!isAll(parts[5] ?? "")) conditions.push(zh ? list(weekdaySet.map(weekdayName)) : `on ${list(weekdaySet.map(weekdayName))}`);
  if (!isAll(parts[3] ?? "")) {
    conditions.push(zh ? `${list(days.map(String))} 日` : `on the ${list(days.map(ordinal))} day of the month`);
  }
  // As cron has it: with both, either is enough.
  let when = conditions.join(zh ? "或" : " or ");
  if (when === "" && !(isAll(parts[2] ?? ""))) when = zh ? "每天" : "every day";
  const month = isAll(parts[4] ?? "") ? "" : (zh ? list(monthSet.map(monthName)) : `in ${list(monthSet.map(monthName))}`);
  return zh
    ? [month, when, time].filter((text) => text !== "").join(" ")
    : capital([when === "every day" ? "" : time, when === "every day" ? `every day ${time}` : when, month].filter((text) => text !== "").join(", "));
}

function ordinal(n: number): string {
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(n);
  return `${n}${{ one: "st", two: "nd", few: "rd" }[rule as "one"] ?? "th"}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
