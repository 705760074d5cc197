// What the images take, and who shares what.
import { QuestionCircleOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Table, Tooltip, Typography, type TableColumnsType } from "antd";
import type { ReactNode } from "react";
import type { StorageRepository } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Nothing } from "../../parts/page";
import { useTongue } from "../../words";

export function Usage() {
  const { words, format } = useTongue();
  const usage = useQuery(queries.storageUsage());
  const checks = useQuery(queries.storageChecks());
  if (usage.error !== null) return <Failure error={usage.error} retry={() => void usage.refetch()} />;
  if (usage.data === undefined) return <Loading />;
  const u = usage.data;
  if (u.blobs === 0) return <Nothing title={words.storage.empty} text={words.storage.emptyText} />;
  const report = checks.data?.find((c) => c.report !== undefined)?.report;
  return (
    <>
      <dl className="facts" data-testid="usage">
        <Fact name={words.storage.stored}>{format.bytes(u.bytes)}</Fact>
        <Fact name={words.storage.repositories}>{format.number(u.repositories)}</Fact>
        <Fact name={words.storage.artifacts}>{format.number(u.artifacts)}</Fact>
        <Fact name={words.storage.tags}>{format.number(u.tags)}</Fact>
        <Fact name={words.storage.blobs}>{format.number(u.blobs)}</Fact>
        <Fact name={words.storage.shared} tip={words.storage.sharedTip}>{format.bytes(u.shared_bytes)}</Fact>
        <Fact name={words.storage.saved}>{format.bytes(u.separate_bytes - u.bytes)}</Fact>
        <Fact name={words.storage.unneeded} tip={words.storage.unneededTip}>{report === undefined ? words.storage.unneededNever : format.bytes(report.unneeded_bytes)}</Fact>
      </dl>
      <Typography.Title level={2} style={{ fontSize: 16, margin: "8px 0 12px" }}>{words.storage.biggest}</Typography.Title>
      <Biggest list={u.biggest} />
    </>
  );
}

/** A figure with its name. */
export function Fact({ name, tip, children }: { name: string; tip?: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}{tip !== undefined && <> <Tooltip title={tip}><QuestionCircleOutlined tabIndex={0} role="img" aria-label={tip} /></Tooltip></>}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Biggest({ list }: { list: StorageRepository[] }) {
  const { words, format } = useTongue();
  const { columns: names } = words.storage;
  const number = { align: "right" as const, width: 130 };
  const columns: TableColumnsType<StorageRepository> = [
    { title: names.repository, dataIndex: "name", className: "break" },
    { title: names.size, dataIndex: "bytes", ...number, render: (n: number) => format.bytes(n), sorter: (a, b) => a.bytes - b.bytes },
    { title: <Tooltip title={words.storage.ownTip}>{names.own}</Tooltip>, dataIndex: "own_bytes", ...number, render: (n: number) => format.bytes(n), sorter: (a, b) => a.own_bytes - b.own_bytes },
    { title: names.shared, key: "shared", ...number, render: (_, r) => format.bytes(r.bytes - r.own_bytes), sorter: (a, b) => a.bytes - a.own_bytes - (b.bytes - b.own_bytes) },
    { title: names.artifacts, dataIndex: "artifacts", ...number, render: (n: number) => format.number(n), sorter: (a, b) => a.artifacts - b.artifacts },
    { title: names.tags, dataIndex: "tags", ...number, render: (n: number) => format.number(n), sorter: (a, b) => a.tags - b.tags },
  ];
  return <Table<StorageRepository> rowKey="name" columns={columns} dataSource={list} pagination={false} size="middle" scroll={{ x: 760 }} />;
}
