// What was done in the last hours: bytes and tasks, as bars and as a table.
import { theme, Typography } from "antd";
import type { ReactNode } from "react";
import type { ActivityHour } from "../api/client";
import { useTongue } from "../words";

export function ActivityChart({ hours }: { hours: ActivityHour[] }) {
  const { words, format, tag } = useTongue();
  const { token } = theme.useToken();
  const w = words.overview.chart;
  const sum = (f: (h: ActivityHour) => number) => hours.reduce((total, h) => total + f(h), 0);
  const tasks = sum(tasksIn);
  const moment = new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit" });
  const hourOf = (h: ActivityHour | undefined) => (h === undefined ? "" : moment.format(new Date(h.start_time)));
  const said = w.sum(format.bytes(sum((h) => h.bytes_sent)), w.tasksOf(tasks), format.number(sum((h) => h.failed)));
  return (
    <div data-testid="activity">
      <Typography.Title level={2} style={{ fontSize: 18, margin: "0 0 4px" }}>{w.title}</Typography.Title>
      <Typography.Paragraph type="secondary">{tasks === 0 ? w.quiet : said}</Typography.Paragraph>
      {tasks > 0 && (
        <>
          <div className="charts">
            <Bars title={w.bytes} most={format.bytes(most(hours, (h) => h.bytes_sent))} label={said} hours={hours} hourOf={hourOf}
              parts={[{ colour: token.colorPrimary, of: (h) => h.bytes_sent }]} tip={(h) => format.bytes(h.bytes_sent)} />
            <Bars title={w.tasks} most={format.number(most(hours, tasksIn))} label={said} hours={hours} hourOf={hourOf}
              parts={[{ name: w.succeed, colour: token.colorSuccess, of: (h) => h.succeed }, { name: w.stopped, colour: token.colorTextTertiary, of: (h) => h.stopped }, { name: w.failed, colour: token.colorError, of: (h) => h.failed }]}
              tip={(h) => `${format.number(h.succeed)} ${w.succeed}, ${format.number(h.failed)} ${w.failed}, ${format.number(h.stopped)} ${w.stopped}`} />
          </div>
          <details style={{ marginTop: 12 }}>
            <summary>{w.table}</summary>
            <div style={{ overflowX: "auto" }}><HourTable hours={hours} hourOf={hourOf} /></div>
          </details>
        </>
      )}
    </div>
  );
}

function tasksIn(h: ActivityHour): number {
  return h.succeed + h.failed + h.stopped;
}

function most(hours: ActivityHour[], of: (h: ActivityHour) => number): number {
  return Math.max(0, ...hours.map(of));
}

interface Part { name?: string; colour: string; of: (h: ActivityHour) => number }

interface BarsProps {
  title: string;
  most: string;
  label: string;
  hours: ActivityHour[];
  hourOf: (h: ActivityHour | undefined) => string;
  parts: Part[]; // of each bar, from below
  tip: (h: ActivityHour) => string;
}

function Bars({ title, most: highest, label, hours, hourOf, parts, tip }: BarsProps) {
  const { words } = useTongue();
  const top = most(hours, (h) => parts.reduce((sum, p) => sum + p.of(h), 0));
  return (
    <figure className="chart" style={{ margin: 0 }}>
      <figcaption>
        <strong>{title}</strong> <Typography.Text type="secondary">({words.overview.chart.most(highest)})</Typography.Text>
        <Legend parts={parts} />
      </figcaption>
      <svg viewBox={`0 0 ${hours.length} 100`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${label}`}>
        {hours.map((h, i) => <Bar key={h.start_time} x={i} tip={`${hourOf(h)}: ${tip(h)}`} heights={parts.map((p) => heightOf(p.of(h), top))} parts={parts} />)}
      </svg>
      <Typography.Text type="secondary" className="chart-hours">
        {[0, 6, 12, 18, hours.length - 1].map((i) => <span key={i}>{hourOf(hours[i])}</span>)}
      </Typography.Text>
    </figure>
  );
}

/** What is there at all can be seen. */
function heightOf(n: number, top: number): number {
  return n === 0 || top === 0 ? 0 : Math.max(2, (n / top) * 96);
}

function Bar({ x, tip, heights, parts }: { x: number; tip: string; heights: number[]; parts: Part[] }): ReactNode {
  return (
    <g>
      <title>{tip}</title>
      <rect x={x} y={0} width={1} height={100} fill="transparent" />
      {heights.map((height, i) => {
        const below = heights.slice(0, i).reduce((sum, h) => sum + h, 0);
        return height > 0 && <rect key={i} x={x + 0.12} width={0.76} y={100 - below - height} height={height} fill={parts[i]?.colour} />;
      })}
    </g>
  );
}

function Legend({ parts }: { parts: Part[] }) {
  if (parts.length < 2) return null;
  return (
    <span style={{ marginInlineStart: 12 }}>
      {parts.map((p) => (
        <Typography.Text key={p.name} type="secondary" style={{ marginInlineEnd: 12, whiteSpace: "nowrap" }}>
          <svg viewBox="0 0 10 10" aria-hidden style={{ display: "inline-block", width: 10, height: 10, border: 0, marginInlineEnd: 4 }}><rect width="10" height="10" fill={p.colour} /></svg>
          {p.name}
        </Typography.Text>
      ))}
    </span>
  );
}

function HourTable({ hours, hourOf }: { hours: ActivityHour[]; hourOf: (h: ActivityHour) => string }) {
  const { words, format } = useTongue();
  const w = words.overview.chart;
  return (
    <table className="chart-table">
      <thead><tr>{[w.hour, w.bytes, w.succeed, w.failed, w.stopped].map((text) => <th key={text} scope="col">{text}</th>)}</tr></thead>
      <tbody>
        {hours.map((h) => (
          <tr key={h.start_time}>
            <th scope="row" title={format.time(h.start_time)}>{hourOf(h)}</th>
            <td>{format.bytes(h.bytes_sent)}</td><td>{format.number(h.succeed)}</td><td>{format.number(h.failed)}</td><td>{format.number(h.stopped)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
