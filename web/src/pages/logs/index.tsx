// Logs: who did what. Everybody sees what concerns them; the server says what that is.
import { CheckCircleFilled, CloseCircleFilled, ReloadOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Input, Select, Table, Tag, Typography, type TableColumnsType } from "antd";
import type { LogEntry } from "../../api/client";
import { contains, queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";

const filters = ["user", "search", "type", "operation", "result", "from", "until"];

export default function LogsPage() {
  const { words, format } = useTongue();
  const table = useServerTable();
  const { address, setAddress } = table;
  const q = conditions(address);
  const logs = useQuery(queries.logs({ page: table.page, page_size: table.size, sort: table.sort ?? "-op_time", ...(q !== "" && { q }) }));
  const kinds = useQuery(queries.logKinds()).data?.map((k) => k.event_type ?? "") ?? [];
  const types = [...new Set(kinds.map((k) => k.slice(k.indexOf("_") + 1)))];
  const operations = [...new Set(kinds.map((k) => k.slice(0, k.indexOf("_"))))];
  const narrowed = filters.some((f) => address.has(f));
  const set = (name: string) => (value: string | undefined) => setAddress({ [name]: value, page: undefined });
  const name = (known: Record<string, string>, text: string | undefined) => known[text ?? ""] ?? text;

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
      <PageHead title={words.logs.title} sub={words.logs.intro} />
      <Panel>
        <div className="toolbar" key={narrowed ? "narrowed" : "all"}>
          <Input.Search style={{ width: 170 }} allowClear placeholder={words.logs.filterUser} aria-label={words.logs.filterUser} defaultValue={address.get("user") ?? ""} onSearch={set("user")} />
          <Input.Search style={{ width: 200 }} allowClear placeholder={words.logs.filterResource} aria-label={words.logs.filterResource} defaultValue={table.search} onSearch={set("search")} />
          <Choice label={words.logs.allTypes} value={address.get("type")} change={set("type")} of={types.map((t) => [t, name(words.logs.types, t) ?? t])} />
          <Choice label={words.logs.allOperations} value={address.get("operation")} change={set("operation")} of={operations.map((o) => [o, name(words.logs.operations, o) ?? o])} />
          <Choice label={words.logs.allResults} value={address.get("result")} change={set("result")} of={[["true", words.logs.ok], ["false", words.logs.failed]]} />
          <Moment label={words.logs.from} value={address.get("from")} change={set("from")} />
          <Moment label={words.logs.until} value={address.get("until")} change={set("until")} />
          {narrowed && <Button onClick={() => setAddress(Object.fromEntries(filters.map((f) => [f, undefined])))}>{words.logs.reset}</Button>}
          <span className="toolbar-space" />
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

/** A time as the browser has people choose one. */
function Moment({ label, value, change }: { label: string; value: string | null; change: (value: string | undefined) => void }) {
  return <label className="moment">{label}<Input type="datetime-local" style={{ width: 200 }} value={value ?? ""} onChange={(event) => change(event.target.value)} /></label>;
}
