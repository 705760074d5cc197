// What a destination is worth, in words: what needs somebody first, what works below.
import { CheckCircleFilled, CloseCircleFilled, ExclamationCircleFilled, MinusCircleOutlined, QuestionCircleOutlined } from "@ant-design/icons";
import { Alert, Collapse, Grid, Table, Tag, Typography, type TableColumnsType } from "antd";
import type { ReactNode } from "react";
import type { StoragePreflight, StoragePreflightRow } from "../../api/client";
import { useTongue } from "../../words";
import { rowWords } from "./preflightWords";

const looks: Record<string, [color: string, icon: ReactNode]> = {
  ok: ["success", <CheckCircleFilled key="i" />],
  warn: ["warning", <ExclamationCircleFilled key="i" />],
  fail: ["error", <CloseCircleFilled key="i" />],
  unknown: ["default", <QuestionCircleOutlined key="i" />],
  skipped: ["default", <MinusCircleOutlined key="i" />],
};
const order = ["fail", "warn", "unknown", "skipped"];
const alertTypes: Record<string, "success" | "warning" | "error"> = { ok: "success", warn: "warning", fail: "error" };

export function Preflight({ result: r }: { result: StoragePreflight }) {
  const { words, format } = useTongue();
  const w = words.migration.preflight;
  const notable = r.rows.filter((row) => row.state !== "ok").sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  const good = r.rows.filter((row) => row.state === "ok");
  return (
    <div data-testid="preflight">
      <Alert type={alertTypes[r.verdict] ?? "info"} showIcon title={w.verdicts[r.verdict] ?? r.verdict} data-testid={`preflight-${r.verdict}`}
        description={
          <>
            <div className="break">{w.at(r.place, format.relative(r.time))}</div>
            {r.unreachable && <div>{w.unreachable}</div>}
            {r.missing_permissions.length > 0 && <div className="break">{w.missing(r.missing_permissions.join(", "))}</div>}
            {r.rates !== undefined && <div>{w.rates(format.duration(r.rates.latency_seconds * 1000), format.number(Math.round(r.rates.requests_per_second)), format.bytes(r.rates.bytes_per_second))}</div>}
          </>
        } />
      {notable.length > 0 && <Rows rows={notable} />}
      {good.length > 0 && <Collapse ghost items={[{ key: "good", label: w.good(good.length), children: <Rows rows={good} /> }]} />}
    </div>
  );
}

function Rows({ rows }: { rows: StoragePreflightRow[] }) {
  return Grid.useBreakpoint().lg === false ? <Cards rows={rows} /> : <Grown rows={rows} />;
}

/** One below the other, for screens that a table is too wide for. */
function Cards({ rows }: { rows: StoragePreflightRow[] }) {
  const { words, language } = useTongue();
  const w = words.migration.preflight;
  return (
    <ul className="plain cards" data-testid="preflight-cards">
      {rows.map((r) => {
        const { name, means, advice } = rowWords(r, language);
        return (
          <li key={r.name}>
            <div className="card-head"><Typography.Text strong>{name}</Typography.Text><State state={r.state} /></div>
            <div className="break"><Seen row={r} /></div>
            {means !== "" && <Typography.Text type="secondary">{means}</Typography.Text>}
            {advice !== "" && <div className="break"><strong>{w.columns.advice}: </strong>{advice}</div>}
          </li>
        );
      })}
    </ul>
  );
}

function Grown({ rows }: { rows: StoragePreflightRow[] }) {
  const { words, language } = useTongue();
  const w = words.migration.preflight;
  const columns: TableColumnsType<StoragePreflightRow> = [
    { title: w.columns.row, key: "row", width: 150, render: (_, r) => <Typography.Text strong>{rowWords(r, language).name}</Typography.Text> },
    { title: w.columns.state, dataIndex: "state", width: 110, render: (state: string) => <State state={state} /> },
    { title: w.columns.found, key: "found", className: "break", render: (_, r) => <Seen row={r} /> },
    { title: w.columns.means, key: "means", render: (_, r) => rowWords(r, language).means },
    { title: w.columns.advice, key: "advice", className: "break", render: (_, r) => rowWords(r, language).advice },
  ];
  return <Table<StoragePreflightRow> rowKey="name" columns={columns} dataSource={rows} pagination={false} size="small" scroll={{ x: 900 }} style={{ marginTop: 12 }} />;
}

function State({ state }: { state: string }) {
  const w = useTongue().words.migration.preflight;
  return <Tag color={looks[state]?.[0] ?? "default"} icon={looks[state]?.[1]}>{w.states[state] ?? state}</Tag>;
}

function Seen({ row: r }: { row: StoragePreflightRow }) {
  const { words, language } = useTongue();
  if (r.state === "skipped" && r.needs != null && r.needs !== "") {
    return words.migration.preflight.needs(rowWords({ name: r.needs, state: "", found: "" }, language).name);
  }
  const { found, english } = rowWords(r, language);
  return <span className="break" {...(english && { lang: "en" })}>{found}</span>;
}
