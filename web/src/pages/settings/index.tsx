// Configuration > System Settings: the items that this server has, in Harbor's order.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Checkbox, Form, Input, InputNumber, Select, Typography } from "antd";
import { useEffect, useState, type ReactNode } from "react";
import { api, must } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { PageHead, Panel } from "../../parts/page";
import { useUnsaved } from "../../parts/unsaved";
import { useTongue } from "../../words";
import type { Words } from "../../words/en";
import { BannerFields, isBackwards } from "./banner";

interface Settings {
  project_creation_restriction: string;
  token_expiration: number;
  session_timeout: number;
  robot_name_prefix: string;
  robot_token_duration: number;
  read_only: boolean;
  audit_log_retention_days: number;
  skip_audit_log_database: boolean;
  banner_message: string;
}

const names: (keyof Settings)[] = [
  "project_creation_restriction", "token_expiration", "session_timeout", "robot_name_prefix", "robot_token_duration", "read_only",
  "audit_log_retention_days", "skip_audit_log_database", "banner_message",
];

function labels({ settings: w }: Words): Record<keyof Settings, string> {
  return {
    project_creation_restriction: w.projectCreation, token_expiration: w.tokenExpiration, session_timeout: w.sessionTimeout, robot_name_prefix: w.robotPrefix,
    robot_token_duration: w.robotDays, read_only: w.readOnly, audit_log_retention_days: w.logDays, skip_audit_log_database: w.skipLog, banner_message: w.banner,
  };
}

export default function SettingsPage() {
  const { words } = useTongue();
  const settings = useQuery(queries.settings());
  let content: ReactNode = <Loading />;
  if (settings.data !== undefined) {
    const all = settings.data as Record<string, { value?: unknown } | undefined>;
    const kept = Object.fromEntries(names.map((name) => [name, all[name]?.value])) as unknown as Settings;
    content = <SettingsForm kept={kept} />;
  } else if (settings.error !== null) {
    content = <Failure error={settings.error} retry={() => void settings.refetch()} />;
  }
  return (
    <>
      <PageHead title={words.settings.title} />
      <Panel>{content}</Panel>
    </>
  );
}

function SettingsForm({ kept }: { kept: Settings }) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const [form] = Form.useForm<Settings>();
  const [unsaved, setUnsaved] = useState<(keyof Settings)[]>([]);
  const changed = unsaved.length > 0;
  useUnsaved(changed ? words.settings.unsavedItems(unsaved.map((name) => labels(words)[name])) : undefined);
  const save = useMutation({
    mutationFn: (s: Settings) => must(api.PUT("/configurations", { body: Object.fromEntries(names.filter((name) => s[name] !== kept[name]).map((name) => [name, s[name]])) })),
    onSuccess: () => {
      setUnsaved([]);
      tell.done(words.settings.saved);
      void client.invalidateQueries({ queryKey: ["settings"] });
      void client.invalidateQueries({ queryKey: ["system"] });
    },
  });
  const submit = (s: Settings) => {
    if (!s.read_only || kept.read_only) {
      save.mutate(s);
      return;
    }
    modal.confirm({
      title: words.settings.readOnlyAsk, content: words.settings.readOnlyAskText, okText: words.common.ok, cancelText: words.common.cancel, width: 480,
      onOk: () => save.mutate(s),
    });
  };
  const note = () => {
    save.reset();
    const now = form.getFieldsValue();
    setUnsaved(names.filter((name) => now[name] !== kept[name]));
  };
  // What was saved meanwhile, here or by others, takes the place of what nobody has typed over.
  const [shown, setShown] = useState(kept);
  useEffect(() => {
    if (JSON.stringify(shown) === JSON.stringify(kept)) return;
    const now = form.getFieldsValue();
    const typed = names.filter((name) => now[name] !== shown[name] && now[name] !== kept[name]);
    form.setFieldsValue(Object.fromEntries(names.filter((name) => !typed.includes(name)).map((name) => [name, kept[name]])));
    setUnsaved(typed);
    setShown(kept);
  }, [form, kept, shown]);
  const atLeastOne = [{ required: true, type: "integer" as const, min: 1, message: words.settings.number }];
  const number = <InputNumber min={1} precision={0} style={{ width: 160 }} />;
  return (
    <Form<Settings> form={form} layout="vertical" initialValues={kept} onFinish={submit} onValuesChange={note} style={{ maxWidth: 640 }} scrollToFirstError requiredMark={false}>
      <Form.Item name="project_creation_restriction" label={words.settings.projectCreation} extra={words.settings.projectCreationTip}>
        <Select style={{ width: 200 }} options={[{ value: "everyone", label: words.settings.everyone }, { value: "adminonly", label: words.settings.adminOnly }]} />
      </Form.Item>
      <Form.Item name="token_expiration" label={words.settings.tokenExpiration} extra={words.settings.tokenExpirationTip} rules={atLeastOne}>{number}</Form.Item>
      <Form.Item name="session_timeout" label={words.settings.sessionTimeout} extra={words.settings.sessionTimeoutTip} rules={atLeastOne}>{number}</Form.Item>
      <Form.Item name="robot_name_prefix" label={words.settings.robotPrefix} extra={words.settings.robotPrefixTip} rules={[{ required: true, message: words.settings.required }, { pattern: /^[^:/\s]{1,64}$/, message: words.settings.robotPrefixForm }]}>
        <Input style={{ width: 200 }} maxLength={64} />
      </Form.Item>
      <Form.Item name="robot_token_duration" label={words.settings.robotDays} extra={words.settings.robotDaysTip} rules={atLeastOne}>{number}</Form.Item>
      <Form.Item name="read_only" valuePropName="checked" extra={words.settings.readOnlyTip}><Checkbox>{words.settings.readOnly}</Checkbox></Form.Item>
      <Form.Item name="audit_log_retention_days" label={words.settings.logDays} extra={words.settings.logDaysTip} rules={[{ required: true, type: "integer", min: 0, message: words.settings.numberOrZero }]}>
        <InputNumber min={0} precision={0} style={{ width: 160 }} />
      </Form.Item>
      <Form.Item name="skip_audit_log_database" valuePropName="checked" extra={words.settings.skipLogTip}><Checkbox>{words.settings.skipLog}</Checkbox></Form.Item>
      <Form.Item name="banner_message" label={words.settings.banner} extra={words.settings.bannerTip} rules={[{ validator: (_, text: string) => isBackwards(text) ? Promise.reject(new Error(words.banner.order)) : Promise.resolve() }]}><BannerFields /></Form.Item>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
      <div className="toolbar" style={{ marginTop: 16 }}>
        <Button type="primary" htmlType="submit" disabled={!changed} loading={save.isPending}>{words.common.save}</Button>
        <Button disabled={!changed} onClick={() => { form.setFieldsValue(kept); note(); }}>{words.common.cancel}</Button>
        {changed && <Typography.Text type="secondary" role="status">{words.settings.unsaved}</Typography.Text>}
      </div>
    </Form>
  );
}
