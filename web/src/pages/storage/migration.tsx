// The guided migration: what the server says is shown, and what can be asked of it now.
import {
  CloudSyncOutlined, DownloadOutlined, KeyOutlined, PauseOutlined, PlayCircleOutlined, RollbackOutlined, CheckOutlined, StopOutlined,
} from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Form, Grid, Input, Modal, Space, Steps } from "antd";
import { api, must, type HomeStorage, type StorageMigration } from "../../api/client";
import { useLiveStorageMigration } from "../../api/events";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { useAddress } from "../../parts/paging";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { Begin } from "./destination";
import { save, useReport } from "./report";
import { Copied, Damaged, Deltas, Evidence, Pulls } from "./sections";
import { Fact } from "./usage";

const over = ["finished", "rolled_back", "canceled"];

export function Migration({ home }: { home: HomeStorage }) {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  useLiveStorageMigration();
  const migration = useQuery(queries.storageMigration());
  if (migration.error !== null) return <Failure error={migration.error} retry={() => void migration.refetch()} />;
  if (migration.data === undefined) return <Loading />;
  const m = migration.data;
  if (m === null) return <Begin home={home} />;
  const ended = over.includes(m.status);
  if (ended && address.has("new")) {
    return (
      <>
        <div className="toolbar"><Button onClick={() => setAddress({ new: undefined })}>{words.migration.backToLast}</Button></div>
        <Begin home={home} />
      </>
    );
  }
  return (
    <>
      <Course m={m} />
      <Standing m={m} />
      <Facts m={m} />
      <Copied m={m} />
      <Deltas m={m} />
      <Evidence m={m} />
      <Pulls m={m} />
      <Damaged m={m} />
      {ended && <Button style={{ marginTop: 16 }} icon={<CloudSyncOutlined />} onClick={() => setAddress({ new: 1 })}>{words.migration.another}</Button>}
    </>
  );
}

const stepOf: Record<string, number> = {
  preflight: 1, copy: 2, delta: 3, ready: 3, freeze: 4, drain: 4, final: 4, check: 5, switch: 6, verify: 7, thaw: 7, done: 8,
};
const stepNames = ["destination", "preflight", "copy", "delta", "window", "check", "switch", "verify", "done"] as const;

function Course({ m }: { m: StorageMigration }) {
  const { words } = useTongue();
  const wide = Grid.useBreakpoint().xxl ?? true;
  const medium = Grid.useBreakpoint().lg ?? true;
  const at = m.status === "migrated" || m.status === "finished" ? 9 : stepOf[m.phase] ?? 0;
  const status = m.status === "failed" ? "error" : m.status === "canceled" || m.status === "rolled_back" ? "wait" : "process";
  if (m.status === "rolled_back" || m.status === "canceled") return null;
  return (
    <Steps size="small" current={at} status={status} orientation={medium ? "horizontal" : "vertical"} titlePlacement={medium && !wide ? "vertical" : "horizontal"} style={{ marginBottom: 20 }}
      items={stepNames.map((name) => ({ title: words.migration.steps[name], ...(medium && !wide && { subTitle: undefined }), ...(!medium && { content: words.migration.steps2[name] }) }))} />
  );
}

const alertTypes: Record<string, "success" | "info" | "warning" | "error"> = {
  running: "info", paused: "warning", waiting: "success", failed: "error", migrated: "success", finished: "success", rolled_back: "info", canceled: "info",
};

function Standing({ m }: { m: StorageMigration }) {
  const { words } = useTongue();
  const w = words.migration;
  const p = m.problem;
  return (
    <div aria-live="polite">
      <Alert type={alertTypes[m.status] ?? "info"} showIcon title={w.status[m.status] ?? m.status} data-testid={`migration-${m.status}`}
        description={
          <>
            {p !== undefined && m.status === "failed" && (
              <div style={{ marginBottom: 8 }}>
                <strong>{w.problems[p.code] ?? p.code}</strong>
                <div><Said text={p.message} /></div>
                <div>{w.problemTodo[p.code] ?? p.advice}</div>
              </div>
            )}
            {m.status === "running" && <div>{w.phases[m.phase] ?? m.phase}</div>}
            {m.direction === "back" && !over.includes(m.status) && <div>{w.back}</div>}
            {m.cutover_asked === true && m.direction === "forward" && ["copy", "delta", "ready", "preflight"].includes(m.phase) && <div>{w.asked}</div>}
            <div>{w.statusText[m.status]}</div>
            <Actions m={m} />
          </>
        } />
    </div>
  );
}

type Action = "pause" | "resume" | "cutover" | "cancel" | "rollback" | "finish";

function Actions({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  const { modal } = App.useApp();
  const [address, setAddress] = useAddress();
  const act = useAct();
  const report = useReport(m);
  const can = (action: Action) => m.actions.includes(action);
  const ask = (action: Action, title: string, texts: string[], okText: string, danger: boolean) => modal.confirm({
    title, okText, cancelText: words.common.cancel, okButtonProps: { danger }, width: 560, content: texts.map((text) => <p key={text} className="break">{text}</p>),
    onOk: () => act.mutateAsync(action).catch(() => undefined),
  });
  const estimate = m.window.estimate_seconds;
  return (
    <>
      <Space wrap style={{ marginTop: 12 }}>
        {can("resume") && <Button type="primary" icon={<PlayCircleOutlined />} loading={act.isPending} onClick={() => act.mutate("resume")}>{w.actions.resume}</Button>}
        {can("resume") && m.status === "failed" && <Button icon={<KeyOutlined />} onClick={() => setAddress({ keys: 1 })}>{w.actions.keys}</Button>}
        {can("cutover") && (
          <Button type={m.status === "waiting" ? "primary" : "default"} icon={<CloudSyncOutlined />} loading={act.isPending}
            onClick={() => ask("cutover", w.ask.cutoverTitle, [estimate >= 0 ? w.ask.cutoverKnown(format.duration(estimate * 1000)) : w.ask.cutoverUnknown, w.ask.cutoverText], w.ask.cutoverDo, false)}>{w.actions.cutover}</Button>
        )}
        {can("pause") && <Button icon={<PauseOutlined />} loading={act.isPending} onClick={() => act.mutate("pause")}>{w.actions.pause}</Button>}
        {can("finish") && <Button type="primary" icon={<CheckOutlined />} loading={act.isPending} onClick={() => ask("finish", w.ask.finishTitle, [w.ask.finishText(m.source.place)], w.actions.finish, true)}>{w.actions.finish}</Button>}
        {can("rollback") && <Button danger icon={<RollbackOutlined />} loading={act.isPending} onClick={() => ask("rollback", w.ask.rollbackTitle, [w.ask.rollbackText(m.source.place)], w.actions.rollback, true)}>{w.actions.rollback}</Button>}
        {can("cancel") && <Button icon={<StopOutlined />} loading={act.isPending} onClick={() => ask("cancel", w.ask.cancelTitle, [w.ask.cancelText(m.source.place), w.ask.cancelCopied(m.destination.place)], w.actions.cancel, true)}>{w.actions.cancel}</Button>}
        <Button icon={<DownloadOutlined />} onClick={() => save(`${w.report.file}-${m.id}.md`, "text/markdown", report())}>{w.actions.report}</Button>
        <Button icon={<DownloadOutlined />} onClick={() => save(`${w.report.file}-${m.id}.json`, "application/json", JSON.stringify(m, null, 2))}>{w.actions.json}</Button>
      </Space>
      {address.has("keys") && can("resume") && <Keys m={m} close={() => setAddress({ keys: undefined })} />}
    </>
  );
}

function useAct() {
  const tell = useTell();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (action: Action) => must(action === "resume" ? api.PUT("/storage/migration/resume", {}) : api.PUT(`/storage/migration/${action}`)),
    onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["storage-migration"] }),
  });
}

interface KeyFields { accessKey: string; newSecret: string }

function Keys({ m, close }: { m: StorageMigration; close: () => void }) {
  const { words } = useTongue();
  const w = words.migration;
  const client = useQueryClient();
  const [form] = Form.useForm<KeyFields>();
  const go = useMutation({
    mutationFn: (f: KeyFields) => must(api.PUT("/storage/migration/resume", { body: { access_key: f.accessKey.trim(), secret_key: f.newSecret } })),
    onSuccess: close, onSettled: () => client.invalidateQueries({ queryKey: ["storage-migration"] }),
  });
  const rules = [{ required: true, whitespace: true, message: w.ask.keysRequired }];
  return (
    <Modal open title={w.ask.keysTitle} okText={w.actions.resume} cancelText={words.common.cancel} confirmLoading={go.isPending} onCancel={close} onOk={() => form.submit()} mask={{ closable: false }}>
      <p>{w.ask.keysText}</p>
      <Form<KeyFields> form={form} layout="vertical" initialValues={{ accessKey: m.destination.access_key ?? "", newSecret: "" }} onFinish={(f) => go.mutate(f)}>
        <Form.Item name="accessKey" label={w.form.accessKey} rules={rules}><Input autoComplete="off" spellCheck={false} /></Form.Item>
        <Form.Item name="newSecret" label={w.form.secretKey} rules={rules}><Input.Password autoComplete="new-password" visibilityToggle={false} /></Form.Item>
      </Form>
      {go.isError && <Failure error={go.error} />}
    </Modal>
  );
}

function Facts({ m }: { m: StorageMigration }) {
  const { words, format } = useTongue();
  const w = words.migration;
  const seconds = (n: number) => format.duration(n * 1000);
  return (
    <dl className="facts" style={{ marginTop: 16 }} data-testid="migration-facts">
      <Fact name={w.from}>{m.source.place}</Fact>
      <Fact name={w.to}>{m.destination.place}</Fact>
      <Fact name={w.startedBy}><span title={format.time(m.creation_time)}>{w.startedByText(m.operator, format.relative(m.creation_time))}</span></Fact>
      {!isTime(m.window.start_time)
        ? <Fact name={w.readOnlyEstimate}>{m.window.estimate_seconds >= 0 ? seconds(m.window.estimate_seconds) : w.notYet}</Fact>
        : <Fact name={w.readOnlyFor}>{m.window.read_only ? w.readOnlyNow(seconds(m.window.seconds)) : seconds(m.window.seconds)}</Fact>}
    </dl>
  );
}
