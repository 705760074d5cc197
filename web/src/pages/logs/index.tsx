// Logs: who did what. Everybody sees what concerns them; the server says what that is.
import { ArrowUpOutlined, CheckCircleFilled, CloseCircleFilled, ReloadOutlined } from "@ant-design/icons";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Input, Select, Table, Tag, Typography, type TableColumnsType } from "antd";
import { useState } from "react";
import type { LogEntry } from "../../api/client";
import { useNewLogEntries } from "../../api/events";
import { contains, queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";

const filters = ["user", "search", "type", "operation", "result", "from", "until"];

export default function LogsPage() {
  const { words, format } = useTongue();
  const client = useQueryClient();
  const table = useServerTable();
  const { address, setAddress } = table;
  const q = conditions(address);
  const logs = useQuery(queries.logs({ page: table.page, page_size: table.size, sort: table.sort ?? "-op_time", ...(q !== "" && { q }) }));
  const fresh = useNewLogEntries(logs.data);
  const recording = useQuery(queries.logRecording()).data;
  const kinds = useQuery(queries.logKinds()).data?.map((k) => k.event_type ?? "") ?? [];
  const types = [...new Set(kinds.map(typeOf))];
  const operations = [...new Set(kinds.map(operationOf))];
  const narrowed = filters.some((f) => address.has(f));
  const set = (name: string) => (value: string | undefined) => setAddress({ [name]: value, page: undefined });
  const name = (known: Record<string, string>, text: string | undefined) => known[text ?? ""] ?? text;
  const kindName = (k: string) => words.logs.kind(name(words.logs.types, typeOf(k)) ?? "", name(words.logs.operations, operationOf(k)) ?? "");
  const renew = () => {
    if (!address.has("page") && !address.has("sort")) {
      void logs.refetch();
      return;
    }
    client.removeQueries({ queryKey: ["logs"], type: "inactive" }); // the first page as it was
    setAddress({ page: undefined, sort: undefined });
  };

  const columns: TableColumnsType<LogEntry> = [
    { title: words.logs.columns.user, dataIndex: "username", className: "break", render: (user: string | undefined) => user === undefined || user === "" ? "-" : user },
    {
      title: words.logs.columns.resource, dataIndex: "resource", className: "break",
      render: (resource: string | undefined, e) => (
        <>
          <span title={resource}>{short(resource)}</span>
          {saysMore(e) && <Typography.Text type="secondary" className="cell-sub" lang="en">{short(e.operation_description)}</Typography.Text>}
        </>
      ),
    },
    { title: words.logs.columns.type, dataIndex: "resource_type", render: (t: string | undefined) => name(words.logs.types, t) },
    { title: words.logs.columns.operation, dataIndex: "operation", render: (o: string | undefined) => name(words.logs.operations, o) },
    {
      title: words.logs.columns.result, dataIndex: "operation_result",
      render: (ok: boolean) => ok ? <Tag color="success" icon={<CheckCircleFilled />}>{words.logs.ok}</Tag> : <Tag color="error" icon={<CloseCircleFilled />}>{words.logs.failed}</Tag>,
    },
    { title: words.logs.columns.time, dataIndex: "op_time", sorter: true, sortOrder: table.order("op_time"), render: (t: string) => format.time(t) },
  ];
  return (
    <>
      <PageHead title={words.logs.title} sub={[
        words.logs.intro,
        ...(recording === undefined ? [] : [recording.retention_days === 0 ? words.logs.keptForEver : words.logs.kept(recording.retention_days)]),
        ...(recording === undefined || recording.disabled_event_types.length === 0 ? [] : [words.logs.without(recording.disabled_event_types.map(kindName).join(words.logs.comma))]),
      ].join(words.logs.space)} />
      {recording?.recorded === false && <Alert type="warning" showIcon title={words.logs.off} description={words.logs.offText} style={{ marginBottom: 16 }} />}
      <Panel>
        <div className="toolbar">
          <Finder label={words.logs.filterUser} width={170} value={address.get("user")} change={set("user")} />
          <Finder label={words.logs.filterResource} width={230} value={address.get("search")} change={set("search")} />
          <Choice label={words.logs.allTypes} value={address.get("type")} change={set("type")} of={types.map((t) => [t, name(words.logs.types, t) ?? t])} />
          <Choice label={words.logs.allOperations} value={address.get("operation")} change={set("operation")} of={operations.map((o) => [o, name(words.logs.operations, o) ?? o])} />
          <Choice label={words.logs.allResults} value={address.get("result")} change={set("result")} of={[["true", words.logs.ok], ["false", words.logs.failed]]} />
          <Moment label={words.logs.from} value={address.get("from")} change={set("from")} />
          <Moment label={words.logs.until} value={address.get("until")} change={set("until")} />
          {narrowed && <Button onClick={() => setAddress(Object.fromEntries(filters.map((f) => [f, undefined])))}>{words.logs.reset}</Button>}
          <span className="toolbar-space" />
          <span aria-live="polite">{fresh > 0 && <Button type="link" icon={<ArrowUpOutlined />} onClick={renew}>{words.logs.fresh(fresh)}</Button>}</span>
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void logs.refetch()} />
        </div>
        {logs.error !== null && <Failure error={logs.error} retry={() => void logs.refetch()} />}
        <Table<LogEntry>
          rowKey={(e) => e.id ?? 0} columns={columns} dataSource={logs.data?.data ?? []} loading={logs.isPending} pagination={table.pagination(logs.data?.total)} onChange={table.onChange}
          showSorterTooltip={false} size="middle" scroll={{ x: 880 }}
          locale={{ emptyText: logs.isSuccess ? (narrowed ? <Nothing title={words.logs.noMatch} /> : <Nothing title={words.logs.empty} text={words.logs.emptyText} />) : " " }}
        />
      </Panel>
    </>
  );
}

function operationOf(kind: string): string {
  return kind.slice(0, kind.indexOf("_"));
}

function typeOf(kind: string): string {
  return kind.slice(kind.indexOf("_") + 1);
}

/** A text with its digests cut to what people compare. */
function short(text: string | undefined): string {
  return (text ?? "").replace(/(sha\d+:[0-9a-f]{8})[0-9a-f]+/g, "$1…");
}

/** Whether the description has more in it than the other columns. */
function saysMore(e: LogEntry): boolean {
  const text = e.operation_description ?? "";
  return text !== "" && !text.endsWith(`: ${e.resource ?? ""}`);
}

/** What the server is asked for, as its q has it. */
function conditions(address: URLSearchParams): string {
  const exact = (field: string, name: string) => address.has(name) ? [`${field}=${(address.get(name) ?? "").replace(/,/g, "")}`] : [];
  const from = time(address.get("from")), until = time(address.get("until"));
  return [
    ...exact("username", "user"), ...exact("resource_type", "type"), ...exact("operation", "operation"), ...exact("operation_result", "result"),
    ...(address.has("search") ? [contains("resource", address.get("search") ?? "")] : []),
    ...(from !== undefined || until !== undefined ? [`op_time=[${from ?? ""}~${until ?? ""}]`] : []),
  ].join(",");
}

function time(text: string | null): string | undefined {
  const t = new Date(text ?? "");
  return Number.isNaN(t.getTime()) ? undefined : `${t.toISOString().slice(0, 19)}Z`;
}

function Choice({ label, value, change, of }: { label: string; value: string | null; change: (value: string | undefined) => void; of: [string, string][] }) {
  return <Select style={{ minWidth: 150 }} aria-label={label} value={value ?? ""} onChange={change} options={[{ value: "", label }, ...of.map(([key, text]) => ({ value: key, label: text }))]} />;
}

/** What is typed, until the address is another one. */
function useTyped(value: string | null, shown: string): [string, (text: string, address: string | null) => void] {
  const [typed, setTyped] = useState({ address: value, text: shown });
  return [typed.address === value ? typed.text : shown, (text, address) => setTyped({ address, text })];
}

function Finder({ label, width, value, change }: { label: string; width: number; value: string | null; change: (value: string | undefined) => void }) {
  const [text, setText] = useTyped(value, value ?? "");
  const search = (typed: string) => {
    const found = typed.trim();
    setText(found, found === "" ? null : found);
    change(found === "" ? undefined : found);
  };
  return (
    <Input.Search
      style={{ width }} allowClear placeholder={label} aria-label={label} value={text} onChange={(event) => setText(event.target.value, value)} onSearch={search}
    />
  );
}

/** A time as the browser has people choose one, in their zone. The address has it in UTC: whoever it is sent to sees the same entries. */
function Moment({ label, value, change }: { label: string; value: string | null; change: (value: string | undefined) => void }) {
  const [text, setText] = useTyped(value, chosen(value));
  const type = (now: string) => {
    const next = addressed(now);
    setText(now, next ?? null);
    change(next);
  };
  return <label className="moment">{label}<Input type="datetime-local" style={{ width: 200 }} value={text} onChange={(event) => type(event.target.value)} /></label>;
}

/** A time of an address as it is chosen. One without a zone is of the reader's. */
function chosen(text: string | null): string {
  const t = new Date(text ?? "");
  if (text === null || Number.isNaN(t.getTime())) return "";
  return new Date(t.getTime() - t.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function addressed(text: string): string | undefined {
  const t = new Date(text);
  return Number.isNaN(t.getTime()) ? undefined : `${t.toISOString().slice(0, 16)}Z`;
}
