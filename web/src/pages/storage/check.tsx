// Whether everything that is stored is whole: a look at the files, on the server, that
// goes on whoever shows it.
import { SafetyCertificateOutlined, StopOutlined, ToolOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Checkbox, Progress } from "antd";
import { useState } from "react";
import { api, must, mustPage, type StorageFsck, type StorageFsckReport } from "../../api/client";
import { useLiveStorageChecks } from "../../api/events";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Nothing } from "../../parts/page";
import { useTongue } from "../../words";
import { Findings } from "./findings";

const going = (c: StorageFsck | undefined) => c?.status === "waiting" || c?.status === "running";

export function Check() {
  const { words } = useTongue();
  useLiveStorageChecks();
  const checks = useQuery(queries.storageChecks());
  if (checks.error !== null) return <Failure error={checks.error} retry={() => void checks.refetch()} />;
  if (checks.data === undefined) return <Loading />;
  const newest = checks.data[0];
  const reported = checks.data.find((c) => c.report !== undefined);
  return (
    <>
      <p style={{ marginTop: 0 }}>{words.storage.check.intro}</p>
      <Begin running={going(newest)} />
      <div aria-live="polite">
        {newest !== undefined && going(newest) && <Running check={newest} />}
        {newest?.status === "failed" && <Alert type="error" showIcon style={{ marginBottom: 12 }} title={words.storage.check.failed} description={<Said text={newest.error ?? ""} />} data-testid="check-failed" />}
        {newest?.status === "stopped" && <Alert type="info" showIcon style={{ marginBottom: 12 }} title={words.storage.check.stopped} />}
        {reported?.report !== undefined && !going(newest) && <Verdict check={reported} report={reported.report} />}
      </div>
      {newest === undefined && <Nothing title={words.storage.check.never} text={words.storage.check.neverText} />}
      {newest !== undefined && (going(newest) || reported !== undefined) && <Findings check={going(newest) ? newest : reported ?? newest} running={going(newest)} />}
    </>
  );
}

function Begin({ running }: { running: boolean }) {
  const { words } = useTongue();
  const [deep, setDeep] = useState(false);
  const start = useStart();
  return (
    <div className="toolbar">
      <Button type="primary" icon={<SafetyCertificateOutlined />} disabled={running} loading={start.isPending} onClick={() => start.mutate({ deep, repair_links: false })}>{words.storage.check.start}</Button>
      <Checkbox checked={deep} disabled={running} onChange={(e) => setDeep(e.target.checked)} title={words.storage.check.deepTip}>{words.storage.check.deep}</Checkbox>
    </div>
  );
}

function useStart() {
  const tell = useTell();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { deep: boolean; repair_links: boolean }) => mustPage(api.POST("/storage/fsck", { body })),
    onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["storage-checks"] }),
  });
}

function Running({ check }: { check: StorageFsck }) {
  const { words, format } = useTongue();
  const tell = useTell();
  const client = useQueryClient();
  const stop = useMutation({
    mutationFn: () => mustPage(api.PUT("/storage/fsck/{id}/stop", { params: { path: { id: check.id } } })),
    onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["storage-checks"] }),
  });
  const p = check.progress;
  const n = format.number;
  const title = check.status === "waiting" ? words.storage.check.waiting : p.repairing ? words.storage.check.repairing : words.storage.check.running;
  return (
    <Alert type="info" showIcon style={{ marginBottom: 12 }} title={title} data-testid="check-running"
      action={<Button size="small" icon={<StopOutlined />} loading={stop.isPending} onClick={() => stop.mutate()}>{words.storage.check.stop}</Button>}
      description={
        <>
          <div>{words.storage.check.progress(n(p.repositories), n(p.tags), n(p.manifests), n(p.blobs), format.bytes(p.bytes))}</div>
          {check.deep && <Progress percent={p.bytes > 0 ? Math.min(99, Math.floor((p.hashed_bytes / p.bytes) * 100)) : 0} size="small" status="active" aria-label={words.storage.check.hashed(format.bytes(p.hashed_bytes))} style={{ maxWidth: 420 }} />}
          {check.deep && <div>{words.storage.check.hashed(format.bytes(p.hashed_bytes))}</div>}
          {p.damage > 0 && <div>{words.storage.check.damageSoFar(p.damage)}</div>}
          <div>{words.storage.check.stays}</div>
        </>
      } />
  );
}

function Verdict({ check, report: r }: { check: StorageFsck; report: StorageFsckReport }) {
  const { words, format } = useTongue();
  const w = words.storage.check;
  const repair = useRepair(check, r);
  const title = r.incomplete ? w.incomplete : r.broken > 0 ? w.broken(r.broken_manifests) : r.damaged > 0 ? w.damaged : w.whole;
  const when = check.deep ? w.whenDeep : w.when;
  return (
    <Alert type={r.clean ? "success" : r.broken > 0 || r.incomplete ? "error" : "warning"} showIcon style={{ marginBottom: 12 }} title={title} data-testid="check-verdict"
      action={r.repairable > 0 ? <Button icon={<ToolOutlined />} loading={repair.busy} onClick={repair.ask}>{w.repair(r.repairable)}</Button> : undefined}
      description={
        <>
          {r.incomplete && <div>{w.incompleteText}</div>}
          {r.clean && <div>{w.wholeText(r.tags, r.manifests)}</div>}
          {!r.incomplete && r.broken === 0 && r.damaged > 0 && <div>{w.damagedText}</div>}
          {!r.clean && <div>{w.counts(format.number(r.broken), format.number(r.damaged), format.number(r.notes))}</div>}
          {r.mended > 0 && <div>{w.mended(r.mended)}</div>}
          {r.findings_kept < r.findings && <div>{w.more(format.number(r.findings_kept), format.number(r.findings))}</div>}
          <div title={format.time(check.end_time)}>{when(format.relative(check.end_time), format.duration(r.seconds * 1000), check.operator)}</div>
        </>
      } />
  );
}

const linksShown = 20;

/** Shows which links would be written, and has them written. */
function useRepair(check: StorageFsck, r: StorageFsckReport): { busy: boolean; ask: () => void } {
  const { words } = useTongue();
  const w = words.storage.check;
  const { modal } = App.useApp();
  const tell = useTell();
  const start = useStart();
  const look = useMutation({
    mutationFn: () => must(api.GET("/storage/fsck/{id}/findings", { params: { path: { id: check.id }, query: { repairable: true, page_size: linksShown } } })),
    onError: tell.failed,
    onSuccess: (list) => modal.confirm({
      title: w.repairTitle, okText: w.repairDo, cancelText: words.common.cancel, width: 640,
      content: (
        <>
          <p>{w.repairText}</p>
          <ul style={{ margin: "4px 0", paddingInlineStart: 20, maxHeight: 260, overflow: "auto" }} tabIndex={0} aria-label={w.repair(r.repairable)}>
            {list.map((f) => <li key={f.path} className="code">{f.path}</li>)}
            {r.repairable > list.length && <li>{w.repairMore(r.repairable - list.length)}</li>}
          </ul>
        </>
      ),
      onOk: () => start.mutateAsync({ deep: false, repair_links: true }).catch(() => undefined),
    }),
  });
  return { busy: look.isPending || start.isPending, ask: () => look.mutate() };
}
