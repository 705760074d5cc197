// The executions of a rule, the newest first, as they are now.
import { ReloadOutlined, StopOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Select, Table, Typography, type TableColumnsType } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import type { Execution, Policy } from "../../api/client";
import { queries } from "../../api/queries";
import { canRetry, canStop, durationOf, isHeld, useExecutionActions } from "../../parts/executionActions";
import { Failure, Said } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { ExecutionStatus } from "../../parts/status";
import { Transfer } from "../../parts/transfer";
import { useTongue } from "../../words";

export function ExecutionsTab({ policy }: { policy: Policy }) {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  const [selected, setSelected] = useState<number[]>([]);
  const status = address.get("status") ?? "";
  const trigger = address.get("trigger") ?? "";
  const page = numberIn(address, "p") ?? 1;
  const size = numberIn(address, "s") ?? 15;
  const executions = useQuery(queries.executions({
    policy_id: policy.id ?? 0, page, page_size: size, ...(status !== "" && { status }), ...(trigger !== "" && { trigger }),
  }));
  const list = executions.data?.data ?? [];
  const chosen = list.filter((e) => selected.includes(e.id ?? 0));
  const act = useExecutionActions();
  const pagination = usePagination(page, size, executions.data?.total, (p, s) => setAddress({ p: p === 1 ? undefined : p, s: s === 15 ? undefined : s }));
  const columns = useColumns();
  const filtered = status !== "" || trigger !== "";
  return (
    <>
      <div className="toolbar">
        <Button icon={<StopOutlined />} danger disabled={chosen.length === 0 || !chosen.some(stoppable)} onClick={() => act.stop(chosen.filter(stoppable))}>{words.executions.stop}</Button>
        <Button icon={<ReloadOutlined />} disabled={chosen.length === 0 || !chosen.some(canRetry)} onClick={() => act.retry(chosen.filter(canRetry))}>{words.executions.retry}</Button>
        <span className="toolbar-space" />
        <Select style={{ width: 150 }} value={trigger} aria-label={words.executions.columns.trigger} onChange={(value) => setAddress({ trigger: value, p: undefined })}
          options={[{ value: "", label: words.executions.allTriggers }, ...Object.entries(words.executions.triggers).map(([value, label]) => ({ value, label }))]} />
        <Select style={{ width: 150 }} value={status} aria-label={words.executions.columns.status} onChange={(value) => setAddress({ status: value, p: undefined })}
          options={[{ value: "", label: words.executions.allStatuses }, ...["InProgress", "Succeed", "Failed", "Stopped"].map((value) => ({ value, label: words.executions.statuses[value] }))]} />
      </div>
      {executions.error !== null && <Failure error={executions.error} retry={() => void executions.refetch()} />}
      <Table<Execution>
        rowKey={(e) => e.id ?? 0} columns={columns} dataSource={list} loading={executions.isPending} pagination={pagination} size="middle" scroll={{ x: 900 }}
        rowSelection={{
          selectedRowKeys: selected, onChange: (keys) => setSelected(keys.map(Number)),
          getCheckboxProps: (e) => ({ "aria-label": words.common.select(String(e.id)) }),
          getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
        }}
        locale={{ emptyText: executions.isSuccess ? (filtered ? <Nothing title={words.executions.noMatch} /> : <Nothing title={words.executions.empty} text={words.executions.emptyText} />) : " " }}
      />
    </>
  );
}

/** What is stopped among others; what waits to be released is decided on its page, where all that it lists is shown. */
function stoppable(e: Execution): boolean {
  return canStop(e) && !isHeld(e);
}

function useColumns(): TableColumnsType<Execution> {
  const { words, format } = useTongue();
  return [
    { title: words.executions.columns.id, dataIndex: "id", width: 80, render: (id: number) => <Link to={`/harbor/replications/${id}/tasks`}>{id}</Link> },
    {
      title: words.executions.columns.status, dataIndex: "status",
      render: (status: string, e) => (
        <>
          <ExecutionStatus status={status} hold={e.hold} />
          {e.status_text !== "" && <span className="cell-sub" style={{ maxWidth: 420, marginTop: 4 }}><Said text={e.status_text} /></span>}
        </>
      ),
    },
    { title: words.executions.columns.trigger, dataIndex: "trigger", render: (t: string) => words.executions.triggers[t] ?? t },
    { title: words.executions.columns.start, dataIndex: "start_time", className: "nowrap", render: (t: string) => format.time(t) },
    { title: words.executions.columns.duration, key: "duration", className: "nowrap", render: (_, e) => format.duration(durationOf(e)) },
    { title: words.executions.columns.rate, key: "rate", className: "nowrap", render: (_, e) => (e.total > 0 ? format.percent(e.succeed, e.total) : <Typography.Text type="secondary">{words.executions.noTasks}</Typography.Text>) },
    { title: words.executions.columns.total, dataIndex: "total", render: (n: number) => format.number(n) },
    {
      title: words.executions.columns.bytes, key: "bytes",
      render: (_, e) => <Transfer sent={e.bytes_sent} total={e.bytes_total} running={e.status === "InProgress"} complete={e.planned === true} start={e.start_time} />,
    },
  ];
}
