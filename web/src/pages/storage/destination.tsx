// Where the images are to go: a form for each kind of store, a preflight that tries it
// out, and the beginning of the migration.
import { ExperimentOutlined, PlayCircleOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Checkbox, Collapse, Form, Input, InputNumber, Select, Space, Typography } from "antd";
import { useState } from "react";
import { api, must, mustPage, type HomeStorage, type StorageDestination } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { useUnsaved } from "../../parts/unsaved";
import { useTongue } from "../../words";
import { Preflight } from "./preflight";

interface Fields {
  provider: string;
  endpoint: string;
  region: string;
  bucket: string;
  prefix: string;
  accessKey: string;
  secretKey: string;
  pathStyle: "auto" | "on" | "off";
  verify: boolean;
  ca: string;
  storageClass: string;
  acl: string;
  encrypt: boolean;
  encryptKey: string;
  automatic: boolean;
  windowSeconds: number;
  concurrency: number;
  bandwidth: number;
  deep: boolean;
}

const empty: Fields = {
  provider: "Minio", endpoint: "", region: "", bucket: "", prefix: "", accessKey: "", secretKey: "", pathStyle: "auto", verify: true, ca: "",
  storageClass: "", acl: "", encrypt: false, encryptKey: "", automatic: false, windowSeconds: 5, concurrency: 64, bandwidth: 0, deep: false,
};

const providers = ["Minio", "Ceph", "AWS", "other"];
const draftName = "storage-destination";

/** What was typed before the page was loaded again, but for the secret. */
function draft(): Fields {
  try {
    return { ...empty, ...(JSON.parse(sessionStorage.getItem(draftName) ?? "{}") as Partial<Fields>), secretKey: "" };
  } catch {
    return empty;
  }
}

function keep({ secretKey: _, ...rest }: Fields): void {
  sessionStorage.setItem(draftName, JSON.stringify(rest));
}

function destination(f: Fields): StorageDestination {
  const text = (name: string, value: string) => (value.trim() === "" ? {} : { [name]: value.trim() });
  return {
    provider: f.provider, bucket: f.bucket.trim(), ...text("endpoint", f.endpoint), ...text("region", f.region), ...text("prefix", f.prefix),
    ...text("access_key", f.accessKey), ...text("secret_key", f.secretKey), ...text("ca_certificate", f.verify ? f.ca : ""), ...text("storage_class", f.storageClass),
    ...text("acl", f.acl), ...(f.pathStyle !== "auto" && { path_style: f.pathStyle === "on" }), ...(!f.verify && { insecure: true }),
    ...(f.encrypt && { encrypt: true, ...text("encrypt_key", f.encryptKey) }),
  };
}

/** Whether two forms lead to the same place with the same keys. */
const same = (a: Fields, b: Fields) => JSON.stringify(destination(a)) === JSON.stringify(destination(b));

const isHere = ({ search }: { search: string }) => new URLSearchParams(search).get("tab") === "migration";

export function Destination({ home }: { home: HomeStorage }) {
  const { words } = useTongue();
  const w = words.migration.form;
  const { modal } = App.useApp();
  const [form] = Form.useForm<Fields>();
  const [first] = useState(draft);
  const [tried, setTried] = useState<Fields>();
  const all = (Form.useWatch([], form) as Partial<Fields> | undefined) ?? first;
  const now: Fields = { ...first, ...all };
  useUnsaved(now.secretKey === "" ? undefined : w.secretUnsaved, isHere);
  const last = useQuery(queries.storagePreflight());
  const preflight = useMutation({
    mutationFn: (f: Fields) => must(api.POST("/storage/preflight", { params: { query: { rates: true } }, body: destination(f) })),
    onSuccess: (_, f) => setTried(f),
  });
  const start = useStart();

  const fieldsOfPlace = ["provider", "endpoint", "region", "bucket", "prefix", "accessKey", "secretKey", "ca"] as const;
  const tryOut = async () => {
    const valid = await form.validateFields([...fieldsOfPlace]).catch(() => undefined);
    if (valid !== undefined) preflight.mutate({ ...now, ...form.getFieldsValue(true) as Fields });
  };
  const result = preflight.data ?? last.data ?? undefined;
  const current = preflight.data !== undefined && tried !== undefined && same(tried, now);
  const ready = current && preflight.data.verdict !== "fail";
  const why = !current ? (tried === undefined ? w.first : w.changed) : w.cannot;
  const ask = async () => {
    const valid = await form.validateFields().catch(() => undefined);
    if (valid === undefined) return;
    const f = { ...now, ...form.getFieldsValue(true) as Fields };
    modal.confirm({
      title: w.startTitle, okText: w.start, cancelText: words.common.cancel, width: 560,
      content: <><p className="break">{w.startText(home.place, preflight.data?.place ?? f.bucket)}</p><p>{f.automatic ? w.startAutomatic : w.startManual}</p></>,
      onOk: () => start.mutateAsync(f).catch(() => undefined),
    });
  };
  return (
    <>
      <Form<Fields> form={form} layout="vertical" initialValues={first} onValuesChange={(_, f) => { keep({ ...now, ...f }); preflight.isError && preflight.reset(); start.reset(); }} style={{ maxWidth: 760 }} scrollToFirstError>
        <Place now={now} first={first} />
        <Collapse ghost items={[
          { key: "more", label: w.more, forceRender: true, children: <More now={now} /> },
          { key: "options", label: w.options, forceRender: true, children: <Options now={now} /> },
        ]} />
      </Form>
      <Space wrap style={{ margin: "12px 0" }}>
        <Button icon={<ExperimentOutlined />} type={ready ? "default" : "primary"} loading={preflight.isPending} onClick={() => void tryOut()}>{preflight.isPending ? w.trying : w.tryOut}</Button>
        <Button icon={<PlayCircleOutlined />} type={ready ? "primary" : "default"} disabled={!ready} loading={start.isPending} onClick={() => void ask()}>{w.start}</Button>
        {!ready && !preflight.isPending && <Typography.Text type="secondary">{why}</Typography.Text>}
      </Space>
      <div aria-live="polite">
        {preflight.isError && <Failure error={preflight.error} />}
        {start.isError && <Failure error={start.error} />}
        {result !== undefined && !preflight.isPending && !preflight.isError && <Preflight result={result} />}
      </div>
    </>
  );
}

function Place({ now, first }: { now: Fields; first: Fields }) {
  const { words } = useTongue();
  const w = words.migration.form;
  const amazon = now.provider === "AWS";
  const keys = ({ getFieldValue }: { getFieldValue: (name: string) => unknown }) => ({
    validator: () => (getFieldValue("accessKey") === "") === (getFieldValue("secretKey") === "") ? Promise.resolve() : Promise.reject(new Error(w.required.keys)),
  });
  return (
    <>
      <Form.Item name="provider" label={w.provider}><Select options={providers.map((value) => ({ value, label: w.providers[value] }))} /></Form.Item>
      <Form.Item name="endpoint" label={w.endpoint} extra={w.endpointTips[now.provider]} dependencies={["provider"]} rules={[
        { required: !amazon, whitespace: true, message: w.required.endpoint },
        { pattern: /^\s*(https?:\/\/[^\s/?#]+\/?\s*)?$/i, message: w.required.endpointForm },
      ]}>
        <Input placeholder={w.endpointPlaceholders[now.provider]} autoComplete="off" spellCheck={false} />
      </Form.Item>
      <div className="form-row">
        <Form.Item className="grow" name="bucket" label={w.bucket} extra={w.bucketTip} rules={[
          { required: true, whitespace: true, message: w.required.bucket },
          { pattern: /^\s*([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\s*)?$/, message: w.required.bucketForm },
        ]}>
          <Input placeholder="harbor" autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item className="grow" name="prefix" label={w.prefix} extra={w.prefixTip}><Input autoComplete="off" spellCheck={false} /></Form.Item>
        <Form.Item className="grow" name="region" label={w.region} extra={amazon ? w.regionTipAws : w.regionTip} dependencies={["provider"]} rules={[{ required: amazon && now.endpoint.trim() === "", whitespace: true, message: w.required.region }]}>
          <Input placeholder={amazon ? "eu-central-1" : undefined} autoComplete="off" spellCheck={false} />
        </Form.Item>
      </div>
      <div className="form-row">
        <Form.Item className="grow" name="accessKey" label={w.accessKey} extra={w.keyTip} dependencies={["secretKey"]} rules={[keys]}><Input autoComplete="off" spellCheck={false} /></Form.Item>
        <Form.Item className="grow" name="secretKey" label={w.secretKey} extra={first.accessKey !== "" && now.secretKey === "" ? w.secretLost : undefined} dependencies={["accessKey"]} rules={[keys]}>
          <Input.Password autoComplete="new-password" visibilityToggle={false} />
        </Form.Item>
      </div>
    </>
  );
}

function More({ now }: { now: Fields }) {
  const { words } = useTongue();
  const w = words.migration.form;
  return (
    <>
      <Form.Item name="pathStyle" label={w.pathStyle}><Select options={Object.entries(w.pathStyles).map(([value, label]) => ({ value, label }))} /></Form.Item>
      <Form.Item name="verify" valuePropName="checked"><Checkbox>{w.verify}</Checkbox></Form.Item>
      <Form.Item name="ca" label={w.ca} extra={w.caTip} rules={[{ pattern: /^\s*(-----BEGIN CERTIFICATE-----[\s\S]*)?$/, message: w.required.caForm }]}>
        <Input.TextArea disabled={!now.verify} rows={1} className="growing code" spellCheck={false} />
      </Form.Item>
      <div className="form-row">
        <Form.Item className="grow" name="storageClass" label={w.storageClass} extra={w.storageClassTip}><Input autoComplete="off" spellCheck={false} /></Form.Item>
        <Form.Item className="grow" name="acl" label={w.acl} extra={w.aclTip}><Input autoComplete="off" spellCheck={false} /></Form.Item>
      </div>
      <Form.Item name="encrypt" valuePropName="checked"><Checkbox>{w.encrypt}</Checkbox></Form.Item>
      <Form.Item name="encryptKey" label={w.encryptKey} extra={w.encryptKeyTip}><Input disabled={!now.encrypt} autoComplete="off" spellCheck={false} /></Form.Item>
    </>
  );
}

function Options({ now }: { now: Fields }) {
  const { words } = useTongue();
  const w = words.migration.form;
  return (
    <>
      <Form.Item name="automatic" valuePropName="checked" extra={w.automaticTip}><Checkbox>{w.automatic}</Checkbox></Form.Item>
      <div className="form-row">
        <Form.Item className="grow" name="windowSeconds" label={w.windowSeconds}><InputNumber min={1} max={3600} precision={0} disabled={!now.automatic} /></Form.Item>
        <Form.Item className="grow" name="concurrency" label={w.concurrency}><InputNumber min={1} max={1000} precision={0} /></Form.Item>
        <Form.Item className="grow" name="bandwidth" label={w.bandwidth} extra={w.bandwidthTip}><InputNumber min={0} max={1_000_000} precision={0} /></Form.Item>
      </div>
      <Form.Item name="deep" valuePropName="checked" extra={w.deepTip}><Checkbox>{w.deep}</Checkbox></Form.Item>
    </>
  );
}

function useStart() {
  const { words } = useTongue();
  const tell = useTell();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (f: Fields) => mustPage(api.POST("/storage/migration", {
      body: {
        destination: destination(f), automatic: f.automatic, window_seconds: f.windowSeconds ?? 0, concurrency: f.concurrency ?? 0,
        bandwidth: (f.bandwidth ?? 0) * 1024 * 1024, deep: f.deep,
      },
    })),
    onSuccess: () => { tell.done(words.migration.form.started); sessionStorage.removeItem(draftName); },
    onSettled: () => client.invalidateQueries({ queryKey: ["storage-migration"] }),
  });
}

/** Says what is there when a migration is not begun for the first time. */
export function Begin({ home }: { home: HomeStorage }) {
  const { words } = useTongue();
  return (
    <>
      <p style={{ marginTop: 0 }}>{words.migration.intro}</p>
      {home.kind === "s3" && <Alert type="info" showIcon style={{ marginBottom: 12 }} title={words.migration.s3Already} />}
      <Typography.Title level={2} style={{ fontSize: 16, margin: "0 0 12px" }}>{words.migration.form.title}</Typography.Title>
      <Destination home={home} />
    </>
  );
}
