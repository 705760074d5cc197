// What a migration has done so far, part by part.
import { CheckCircleFilled, CloseCircleFilled } from "@ant-design/icons";
import { Alert, Progress, Table, Tag, Typography, type TableColumnsType } from "antd";
import type { ReactNode } from "react";
import type { StorageDelta, StorageFinding, StorageMigration, StoragePull } from "../../api/client";
import { Said } from "../../parts/failure";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { Fact } from "./usage";

function Section({ title, id, children }: { title: string; id: string; children: ReactNode }) {
  return (
    <section aria-label={title} style={{ marginTop: 20 }} data-testid={id}>
      <Typography.Title level={2} style={{ fontSize: 16, margin: "0 0 8px" }}>{title}</Typography.Title>
      {children}
    </section>
  );
}

const begun = (m: StorageMigration, name: string) => m.phases.some((p) => p.name === name);

export function Copied({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  if (!begun(m, "copy")) return null;
  const p = m.progress;
  const copying = m.status === "running" && ["copy", "delta", "final"].includes(m.phase);
  const done = p.known + p.copied;
  const percent = p.expected_bytes > 0 ? (p.bytes / p.expected_bytes) * 100 : p.expected > 0 ? (done / p.expected) * 100 : 0;
  return (
    <Section title={w.copyTitle} id="migration-copy">
      {copying && m.phase === "copy" && (p.expected > 0 || p.expected_bytes > 0) && <Progress percent={Math.min(99, Math.floor(percent))} status="active" aria-label={`${w.copyTitle} ${Math.floor(percent)} %`} style={{ maxWidth: 640, marginBottom: 8 }} />}
      <Typography.Text type="secondary">{w.inAll}</Typography.Text>
      <dl className="facts" data-testid="migration-total">
        <Fact name={w.objects}>{format.number(m.total.objects)}</Fact>
        <Fact name={w.bytes}>{format.bytes(m.total.bytes)}</Fact>
      </dl>
      <Typography.Text type="secondary">{copying ? w.thisPass : w.lastPass}</Typography.Text>
      <dl className="facts">
        <Fact name={w.objects}>{p.expected > 0 ? w.objectsOf(format.number(p.copied), format.number(p.expected)) : format.number(p.copied)}</Fact>
        <Fact name={w.bytes}>{p.expected_bytes > 0 ? w.objectsOf(format.bytes(p.bytes), format.bytes(p.expected_bytes)) : format.bytes(p.bytes)}</Fact>
        {copying && p.bytes_per_second > 0 && <Fact name={w.rate}>{w.perSecond(format.bytes(p.bytes_per_second))}</Fact>}
        {copying && p.seconds_left >= 0 && <Fact name={w.left}>{format.duration(p.seconds_left * 1000)}</Fact>}
        {p.known > 0 && <Fact name={w.known}>{format.number(p.known)}</Fact>}
        {p.failed > 0 && <Fact name={w.failedObjects}><Typography.Text type="danger">{format.number(p.failed)}</Typography.Text></Fact>}
      </dl>
    </Section>
  );
}

const deltasShown = 8;

export function Deltas({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  if (m.deltas.length === 0) return null;
  const columns: TableColumnsType<StorageDelta> = [
    { title: w.deltas.time, dataIndex: "time", render: (time: string) => format.time(time) },
    { title: w.deltas.seconds, dataIndex: "seconds", align: "right", render: (n: number) => format.duration(n * 1000) },
    { title: w.deltas.objects, dataIndex: "objects", align: "right", render: (n: number) => format.number(n) },
    { title: w.deltas.bytes, dataIndex: "bytes", align: "right", render: (n: number) => format.bytes(n) },
  ];
  return (
    <Section title={w.deltasTitle} id="migration-deltas">
      <Table<StorageDelta> rowKey="time" columns={columns} dataSource={m.deltas.slice(-deltasShown).reverse()} pagination={false} size="small" scroll={{ x: 480 }} style={{ maxWidth: 760 }} />
    </Section>
  );
}

export function Evidence({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  const r = m.rehearsal;
  const compared = isCompared(m);
  if (!compared && r === undefined) return null;
  return (
    <Section title={w.evidenceTitle} id="migration-evidence">
      {compared && <Compared m={m} />}
      {r !== undefined && (
        <div data-testid="migration-rehearsal" style={{ marginTop: compared ? 16 : 0 }}>
          <div><strong>{w.rehearsalTitle}</strong> <Typography.Text type="secondary">{format.time(r.time)}, {format.duration(r.seconds * 1000)}</Typography.Text></div>
          <div>{w.sameOf(format.number(r.same), format.number(r.objects))}{r.same < r.objects && `; ${w.changing}`}</div>
          <Proofs rows={proofs(r, w.proofs)} />
        </div>
      )}
    </Section>
  );
}

/** Whether both ends were compared in the read-only time. */
export const isCompared = (m: StorageMigration) => m.evidence.objects > 0 || m.differences_total > 0;

function Compared({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  const e = m.evidence;
  const clean = m.differences_total === 0 && m.artifacts.broken === 0;
  const rows = [...proofs(e, w.proofs), ...(e.before > 0 ? [{ proof: w.proofBefore, n: e.before }] : [])];
  return (
    <>
      <Alert type={clean ? "success" : "error"} showIcon title={w.differences(format.number(m.differences_total))}
        description={
          <>
            {clean && <div>{w.noDifferences}</div>}
            <div>{w.sameOf(format.number(e.same), format.number(e.objects))}</div>
            {m.artifacts.manifests > 0 && m.artifacts.broken === 0 && <div>{w.wholeArtifacts(m.artifacts.tags, m.artifacts.manifests)}</div>}
            {m.artifacts.broken > 0 && <div>{w.brokenArtifacts(m.artifacts.broken)}</div>}
            {m.artifacts.broken_before > 0 && <div>{w.brokenBefore(m.artifacts.broken_before)}</div>}
          </>
        } />
      <Proofs rows={rows} />
      {m.differences.length > 0 && <Found list={m.differences} kinds={w.findingKinds} />}
    </>
  );
}

export interface Proof { proof: string; n: number; bytes?: number }

/** How objects are known to be right, of how many and how many bytes; the most first. */
export function proofs(of: { proofs: Record<string, number>; bytes: Record<string, number> }, names: Record<string, string>): Proof[] {
  return Object.entries(of.proofs).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a)
    .map(([proof, n]) => ({ proof: names[proof] ?? proof, n, ...(of.bytes[proof] !== undefined && { bytes: of.bytes[proof] }) }));
}

function Proofs({ rows }: { rows: Proof[] }) {
  const { words, format } = useTongue();
  const w = words.migration;
  if (rows.length === 0) return null;
  return (
    <Table<Proof> rowKey="proof" dataSource={rows} pagination={false} size="small" style={{ maxWidth: 760, marginTop: 12 }}
      columns={[
        { title: w.proof, dataIndex: "proof" },
        { title: w.proofCount, dataIndex: "n", align: "right", width: 90, render: (n: number) => format.number(n) },
        { title: w.bytes, dataIndex: "bytes", align: "right", width: 110, render: (n?: number) => (n === undefined ? "" : format.bytes(n)) },
      ]} />
  );
}

function Found({ list, kinds }: { list: StorageFinding[]; kinds: Record<string, string> }) {
  const { words } = useTongue();
  const w = words.migration.finding;
  const columns: TableColumnsType<StorageFinding> = [
    { title: w.kind, dataIndex: "kind", width: 180, render: (kind: string) => kinds[kind] ?? kind },
    { title: w.name, dataIndex: "name", className: "code" },
    { title: w.reason, dataIndex: "reason", className: "break", render: (reason: string) => <Said text={reason} /> },
  ];
  return <Table<StorageFinding> rowKey={(f) => `${f.kind} ${f.name}`} columns={columns} dataSource={list} pagination={{ pageSize: 15, size: "small", hideOnSinglePage: true, showSizeChanger: false }} size="small" scroll={{ x: 720 }} style={{ marginTop: 12 }} />;
}

export function Damaged({ m }: { m: StorageMigration }) {
  const { words } = useTongue();
  if (m.damage.length === 0) return null;
  const kinds = Object.fromEntries(Object.entries(words.storage.check.kinds).map(([kind, { name }]) => [kind, name]));
  return (
    <Section title={words.migration.damageTitle} id="migration-damage">
      <p>{words.migration.damageText}</p>
      <Found list={m.damage} kinds={kinds} />
    </Section>
  );
}

export function Pulls({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  if (m.pulls.length === 0) return null;
  const columns: TableColumnsType<StoragePull> = [
    { title: w.pulls.image, key: "image", render: (_, p) => <><div className="break">{p.repository}:{p.reference}</div><Typography.Text type="secondary" className="cell-sub code">{p.digest}</Typography.Text></> },
    { title: w.pulls.what, dataIndex: "what", width: 220, render: (what: string) => w.pullWhat[what] ?? what },
    { title: w.pulls.bytes, dataIndex: "bytes", align: "right", width: 110, render: (n: number) => format.bytes(n) },
    { title: w.pulls.seconds, dataIndex: "seconds", align: "right", width: 110, render: (n: number) => format.duration(n * 1000) },
    {
      title: w.pulls.result, key: "result", width: 240,
      render: (_, p) => p.error != null && p.error !== ""
        ? <><Tag color="error" icon={<CloseCircleFilled />}>{words.common.failed}</Tag><span className="cell-sub break" lang="en">{p.error}</span></>
        : <Tag color="success" icon={<CheckCircleFilled />}>{w.pullOk}</Tag>,
    },
  ];
  return (
    <Section title={w.pullsTitle} id="migration-pulls">
      <Table<StoragePull> rowKey={(p) => `${p.repository} ${p.reference} ${p.what}`} columns={columns} dataSource={m.pulls} pagination={{ pageSize: 15, size: "small", hideOnSinglePage: true, showSizeChanger: false }} size="small" scroll={{ x: 820 }} />
    </Section>
  );
}

/** The phases of a migration that have begun, with their times. */
export function phaseTimes(m: StorageMigration): { name: string; began: string; ended: string }[] {
  return m.phases.map((p) => ({ name: p.name, began: p.start_time, ended: isTime(p.end_time) ? p.end_time : "" }));
}
