// What a check has found, in words: the worst first.
import { CheckCircleFilled, CloseCircleFilled, ExclamationCircleFilled, InfoCircleFilled } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Input, Select, Table, Tag, Typography, type TableColumnsType } from "antd";
import type { ReactNode } from "react";
import type { StorageFsck, StorageFsckFinding } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { useTongue, useWords } from "../../words";

const looks: Record<string, [color: string, icon: ReactNode]> = {
  broken: ["error", <CloseCircleFilled key="i" />],
  damaged: ["warning", <ExclamationCircleFilled key="i" />],
  note: ["default", <InfoCircleFilled key="i" />],
  mended: ["success", <CheckCircleFilled key="i" />],
};

export function Findings({ check, running }: { check: StorageFsck; running: boolean }) {
  const { words } = useTongue();
  const w = words.storage.check;
  const [address, setAddress] = useAddress();
  const severity = address.get("severity") ?? "";
  const kind = address.get("kind") ?? "";
  const repository = address.get("search") ?? "";
  const page = numberIn(address, "page") ?? 1;
  const size = numberIn(address, "page_size") ?? 15;
  const findings = useQuery(queries.storageFindings(check.id, {
    page, page_size: size, ...(severity !== "" && { severity }), ...(kind !== "" && { kind }), ...(repository !== "" && { repository }),
  }, running));
  const pagination = usePagination(page, size, findings.data?.total, (p, s) => setAddress({ page: p === 1 ? undefined : p, page_size: s === 15 ? undefined : s }));
  const filtered = severity !== "" || kind !== "" || repository !== "";
  if (findings.error !== null) return <Failure error={findings.error} retry={() => void findings.refetch()} />;
  return (
    <>
      <div className="toolbar">
        <Typography.Title level={2} style={{ fontSize: 16, margin: 0 }}>{w.findings}</Typography.Title>
        <span className="toolbar-space" />
        <Select style={{ minWidth: 140 }} value={severity} aria-label={w.severity} onChange={(value) => setAddress({ severity: value, page: undefined })}
          options={[{ value: "", label: w.allSeverities }, ...Object.entries(w.severities).map(([value, label]) => ({ value, label }))]} />
        <Select style={{ minWidth: 170 }} value={kind} aria-label={w.kind} onChange={(value) => setAddress({ kind: value, page: undefined })}
          options={[{ value: "", label: w.allKinds }, ...Object.entries(w.kinds).map(([value, { name }]) => ({ value, label: name }))]} />
        <Input.Search className="toolbar-search" allowClear placeholder={w.filter} aria-label={w.filter} defaultValue={repository} onSearch={(text) => setAddress({ search: text, page: undefined })} />
      </div>
      <Table<StorageFsckFinding>
        rowKey={(f) => `${f.severity} ${f.kind} ${f.path} ${f.repository} ${f.tag} ${f.digest} ${f.manifest} ${f.detail}`} columns={useColumns()} dataSource={findings.data?.data ?? []}
        loading={findings.isPending} pagination={pagination} size="middle" scroll={{ x: 900 }}
        locale={{ emptyText: findings.isSuccess && !running ? <Nothing title={filtered ? w.noMatch : w.noFindings} /> : " " }} />
    </>
  );
}

function useColumns(): TableColumnsType<StorageFsckFinding> {
  const words = useWords();
  const w = words.storage.check;
  return [
    {
      title: w.severity, dataIndex: "severity", width: 120,
      render: (severity: string) => <Tag color={looks[severity]?.[0] ?? "default"} icon={looks[severity]?.[1]}>{w.severities[severity] ?? severity}</Tag>,
    },
    {
      title: w.kind, dataIndex: "kind", width: 300,
      render: (kind: string, f) => <><Typography.Text strong>{w.kinds[kind]?.name ?? kind}</Typography.Text><span className="cell-sub">{w.kinds[kind]?.means ?? f.message}</span></>,
    },
    { title: w.about, key: "about", render: (_, f) => <About finding={f} /> },
    { title: w.todo, key: "todo", width: 260, render: (_, f) => remedy(f, w) },
  ];
}

function remedy(f: StorageFsckFinding, w: { remedyMended: string; remedyRepair: string; remedyUnneeded: string; kinds: Record<string, { todo: string }> }): string {
  if (f.severity === "mended") return w.remedyMended;
  if (f.repairable) return w.remedyRepair;
  if (f.unneeded === true) return w.remedyUnneeded;
  return w.kinds[f.kind]?.todo ?? "";
}

function About({ finding: f }: { finding: StorageFsckFinding }) {
  const words = useWords();
  const name = (f.repository ?? "") + (f.tag != null && f.tag !== "" ? `:${f.tag}` : "");
  const digest = f.manifest != null && f.manifest !== "" ? f.manifest : f.digest;
  return (
    <>
      {name !== "" && <div className="break">{name}</div>}
      {digest != null && digest !== "" && <div className="code">{digest}</div>}
      {f.path != null && f.path !== "" && <Typography.Text type="secondary" className="cell-sub code">{f.path}</Typography.Text>}
      {f.detail != null && f.detail !== "" && <Typography.Text type="secondary" className="cell-sub break" lang="en">{f.detail}</Typography.Text>}
      {f.target != null && f.target !== "" && <Typography.Text type="secondary" className="cell-sub break">{words.storage.check.target(f.target)}</Typography.Text>}
    </>
  );
}
