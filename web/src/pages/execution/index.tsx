// The page of one execution: how far it is, and its tasks.
import { FileTextOutlined, QuestionCircleOutlined, ReloadOutlined, StopOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Select, Space, Table, Typography, type TableColumnsType } from "antd";
import { Link, useParams } from "react-router";
import { ApiError, type Execution, type Item, type Task } from "../../api/client";
import { queries } from "../../api/queries";
import { canRetry, canStop, durationOf, isHeld, useExecutionActions } from "../../parts/executionActions";
import { Failure, Said } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Message } from "../../parts/message";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { NotFound } from "../../parts/results";
import { ExecutionStatus } from "../../parts/status";
import { Transfer } from "../../parts/transfer";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { Held } from "./held";
import { LogViewer } from "./log";

export default function ExecutionPage() {
  const { id } = useParams();
  return id !== undefined && /^\d+$/.test(id) ? <OneExecution id={Number(id)} /> : <NotFound />;
}

function OneExecution({ id }: { id: number }) {
  const { words } = useTongue();
  const execution = useQuery(queries.execution(id));
  const act = useExecutionActions();
  if (execution.data === undefined) {
    if (execution.error instanceof ApiError && execution.error.status === 404) {
      return <Message icon={<QuestionCircleOutlined />} title={words.execution.gone} text={words.execution.goneText}><Link to="/harbor/replications">{words.execution.back}</Link></Message>;
    }
    return execution.error === null ? <Loading /> : <Failure error={execution.error} retry={() => void execution.refetch()} />;
  }
  const e = execution.data;
  return (
    <>
      <nav aria-label={words.execution.back}><Link to={`/harbor/replications?rule=${e.policy_id ?? ""}`}>‹ {words.execution.back}</Link></nav>
      <PageHead title={words.execution.title(id)} sub={<ExecutionStatus status={e.status} hold={e.hold} />} extra={
        <Space wrap>
          {!isHeld(e) && <Button icon={<StopOutlined />} danger disabled={!canStop(e)} loading={act.busy} onClick={() => act.stop([e])}>{words.executions.stop}</Button>}
          <Button icon={<ReloadOutlined />} disabled={!canRetry(e)} loading={act.busy} onClick={() => act.retry([e])}>{words.executions.retry}</Button>
        </Space>
      } />
      <Panel>
        <Facts execution={e} />
        {isHeld(e) ? <Held execution={e} /> : e.status_text !== "" && <Said text={e.status_text} />}
      </Panel>
      <Tasks execution={e} retry={act.retryTask} />
    </>
  );
}

function Facts({ execution: e }: { execution: Execution }) {
  const { words, format } = useTongue();
  const policy = useQuery(queries.policy(e.policy_id ?? 0));
  const fact = (name: string, value: React.ReactNode) => <div><dt><Typography.Text type="secondary">{name}</Typography.Text></dt><dd>{value}</dd></div>;
  return (
    <dl className="facts" data-testid="facts">
      {fact(words.execution.of, <Link to={`/harbor/replications?rule=${e.policy_id ?? ""}`}>{policy.data?.name ?? e.policy_id}</Link>)}
      {fact(words.execution.triggerMode, words.executions.triggers[e.trigger ?? ""] ?? e.trigger)}
      {fact(words.execution.start, format.time(e.start_time))}
      {isTime(e.end_time) && fact(words.execution.end, format.time(e.end_time))}
      {fact(words.execution.duration, format.duration(durationOf(e)))}
      {fact(words.execution.counts.succeed, format.number(e.succeed))}
      {fact(words.execution.counts.failed, format.number(e.failed))}
      {fact(words.execution.counts.in_progress, format.number(e.in_progress))}
      {fact(words.execution.counts.stopped, format.number(e.stopped))}
      {fact(words.execution.transferred, <Transfer sent={e.bytes_sent} total={e.bytes_total} running={e.status === "InProgress"} complete={e.planned === true} start={e.start_time} />)}
    </dl>
  );
}

function Tasks({ execution, retry }: { execution: Execution; retry: (execution: number, task: number) => void }) {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  const status = address.get("status") ?? "";
  const page = numberIn(address, "page") ?? 1;
  const size = numberIn(address, "page_size") ?? 25;
  const id = execution.id ?? 0;
  const tasks = useQuery(queries.tasks(id, { page, page_size: size, ...(status !== "" && { status }) }));
  const pagination = usePagination(page, size, tasks.data?.total, (p, s) => setAddress({ page: p === 1 ? undefined : p, page_size: s === 25 ? undefined : s }));
  const columns = useColumns((task) => setAddress({ log: task }), (task) => retry(id, task));
  const log = numberIn(address, "log");
  const unplanned = execution.status === "InProgress" && execution.planned !== true;
  return (
    <Panel>
      <div className="toolbar">
        <Typography.Title level={2} style={{ fontSize: 18, margin: 0 }}>{words.execution.tasks}</Typography.Title>
        <span className="toolbar-space" />
        <Select style={{ width: 150 }} value={status} aria-label={words.execution.columns.status} onChange={(value) => setAddress({ status: value, page: undefined })}
          options={[{ value: "", label: words.executions.allStatuses }, ...Object.entries(words.executions.statuses).map(([value, label]) => ({ value, label }))]} />
      </div>
      {tasks.error !== null && <Failure error={tasks.error} retry={() => void tasks.refetch()} />}
      <Table<Task>
        rowKey={(t) => t.id ?? 0} columns={columns} dataSource={tasks.data?.data ?? []} loading={tasks.isPending} pagination={pagination} size="middle" scroll={{ x: 1180 }}
        expandable={{ expandedRowRender: (t) => <Items items={t.items ?? []} />, rowExpandable: (t) => (t.items ?? []).length > 0 }}
        locale={{ emptyText: tasks.isSuccess ? <Nothing title={unplanned ? words.execution.noTasksYet : words.execution.noTasks} /> : " " }}
      />
      {log !== undefined && <LogViewer key={log} execution={id} task={log} close={() => setAddress({ log: undefined })} />}
    </Panel>
  );
}

function useColumns(showLog: (task: number) => void, retry: (task: number) => void): TableColumnsType<Task> {
  const { words, format } = useTongue();
  const registries = useQuery(queries.registries());
  const registryName = (id: number | undefined) => (id === undefined || id === 0 ? "" : registries.data?.find((r) => r.id === id)?.name ?? "");
  return [
    { title: words.execution.columns.id, dataIndex: "id", width: 90 },
    { title: words.execution.columns.type, dataIndex: "resource_type" },
    { title: words.execution.columns.source, dataIndex: "src_resource", className: "break" },
    {
      title: words.execution.columns.destination, dataIndex: "dst_resource", className: "break",
      render: (text: string, t) => <>{text}<Typography.Text type="secondary" className="cell-sub">{registryName(t.dest_registry_id)}</Typography.Text></>,
    },
    { title: words.execution.columns.operation, dataIndex: "operation", className: "nowrap", render: (o: string) => words.execution.operations[o] ?? o },
    {
      title: words.execution.columns.status, dataIndex: "status",
      render: (status: string, t) => (
        <>
          <ExecutionStatus status={status} />
          {(t.attempts ?? 0) > 1 && <Typography.Text type="secondary" className="cell-sub">{words.execution.attempts(t.attempts ?? 0)}</Typography.Text>}
          {isTime(t.next_attempt_time) && <Typography.Text type="secondary" className="cell-sub" title={format.time(t.next_attempt_time)}>{words.execution.nextAttempt(format.relative(t.next_attempt_time))}</Typography.Text>}
          {t.reason != null && t.reason !== "" && <span className="cell-sub" style={{ maxWidth: 360, marginTop: 4 }}><Said text={t.reason} /></span>}
        </>
      ),
    },
    { title: words.execution.columns.bytes, key: "bytes", className: "nowrap", render: (_, t) => <Transfer sent={t.bytes_sent} total={t.bytes_total} running={t.status === "InProgress"} complete start={t.start_time} /> },
    { title: words.execution.columns.start, dataIndex: "start_time", render: (t: string) => format.time(t) },
    { title: words.execution.columns.end, dataIndex: "end_time", render: (t: string) => format.time(t) },
    {
      title: words.execution.columns.log, key: "log", width: 110, className: "nowrap",
      render: (_, t) => (
        <Space size={0}>
          <Button type="text" icon={<FileTextOutlined />} aria-label={words.execution.showLog(t.id ?? 0)} title={words.execution.showLog(t.id ?? 0)} onClick={() => showLog(t.id ?? 0)} />
          {(t.status === "Failed" || t.status === "Stopped") && <Button type="text" icon={<ReloadOutlined />} aria-label={words.execution.retryTask} title={words.execution.retryTask} onClick={() => retry(t.id ?? 0)} />}
        </Space>
      ),
    },
  ];
}

function Items({ items }: { items: Item[] }) {
  const { words, format } = useTongue();
  const w = words.execution.items;
  return (
    <Table<Item> size="small" rowKey="reference" dataSource={items} pagination={items.length > 50 ? { pageSize: 50, size: "small" } : false}
      columns={[
        { title: w.reference, dataIndex: "reference", render: (text: string, i) => <span className="code" title={i.digest}>{text}</span> },
        { title: w.action, dataIndex: "action", render: (a: string) => w.actions[a] ?? a },
        { title: w.outcome, dataIndex: "outcome", render: (o: string | undefined) => (o == null ? "" : w.outcomes[o] ?? o) },
        { title: w.size, dataIndex: "size", className: "nowrap", render: (n: number | undefined) => (n == null || n === 0 ? "" : format.bytes(n)) },
        { title: w.reason, dataIndex: "reason", className: "break", render: (text: string | undefined) => (text == null || text === "" ? null : <Said text={text} />) },
      ]} />
  );
}
