// The dialog of an endpoint: Harbor's fields in Harbor's order, and a test that says why.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, AutoComplete, Button, Checkbox, Form, Input, Modal, Select, Space } from "antd";
import { useState } from "react";
import { api, must, mustPage, type ProviderInfo, type Registry, type RegistryUpdate } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, Said, useErrorText, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { providerName } from "./uses";

interface Fields {
  type: string;
  name: string;
  description: string;
  url: string;
  accessKey: string;
  accessSecret: string;
  verify: boolean;
  ca: string;
}

const unchangedSecret = "*****"; // how the API shows a secret, and takes it back unchanged

function initial(r: Registry | undefined): Fields {
  return {
    type: r?.type ?? "docker-registry", name: r?.name ?? "", description: r?.description ?? "", url: r?.url ?? "",
    accessKey: r?.credential?.access_key ?? "", accessSecret: r?.credential?.access_secret ?? "", verify: r?.insecure !== true, ca: r?.ca_certificate ?? "",
  };
}

export function RegistryDialog({ registry, close }: { registry?: Registry; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const [start] = useState(() => initial(registry)); // what others change meanwhile does not move the form
  const providers = useQuery(queries.providers());
  const type = Form.useWatch("type", form) ?? start.type;
  const verify = Form.useWatch("verify", form) ?? start.verify;
  const url = Form.useWatch("url", form) ?? start.url;
  const info = providers.data?.infos[type];
  const test = useTest(registry);
  const save = useSave(registry, start, close);
  const moved = registry !== undefined && url !== start.url && start.accessSecret === unchangedSecret;

  const chooseType = (next: string) => {
    const fixed = providers.data?.infos[next];
    form.setFieldsValue({
      url: fixed?.endpoint_pattern?.endpoint_type === "EndpointPatternTypeFix" ? fixed.endpoint_pattern.endpoints[0]?.value ?? "" : form.getFieldValue("url"),
      accessKey: fixed?.credential_pattern?.access_key_type === "AccessKeyTypeFix" ? fixed.credential_pattern.access_key_data ?? "" : form.getFieldValue("accessKey"),
    });
    test.reset();
  };
  const runTest = async () => {
    const fields = await form.validateFields(["type", "url", "accessKey", "accessSecret", "verify", "ca"]).catch(() => undefined);
    if (fields !== undefined) test.mutate(form.getFieldsValue());
  };
  const footer = (
    <Space wrap>
      <Button onClick={() => void runTest()} loading={test.isPending}>{test.isPending ? words.registries.testing : words.registries.test}</Button>
      <Button onClick={close}>{words.common.cancel}</Button>
      <Button type="primary" loading={save.isPending} onClick={() => form.submit()}>{words.common.ok}</Button>
    </Space>
  );
  return (
    <Modal open title={registry === undefined ? words.registries.newTitle : words.registries.editTitle} onCancel={close} footer={footer} width={620} mask={{ closable: false }}>
      <Form<Fields> form={form} layout="vertical" initialValues={start} onFinish={(fields) => save.mutate(fields)} onValuesChange={() => { test.reset(); save.reset(); }} scrollToFirstError>
        <Form.Item name="type" label={words.registries.fields.provider} rules={[{ required: true, message: words.registries.required.provider }]}>
          <Select disabled={registry !== undefined} loading={providers.isPending} showSearch={{ optionFilterProp: "label" }} onChange={chooseType} options={(providers.data?.types ?? [start.type]).map((value) => ({ value, label: providerName(words, value) }))} />
        </Form.Item>
        <Form.Item name="name" label={words.registries.fields.name} extra={words.registries.tips.name} rules={[{ required: true, whitespace: true, message: words.registries.required.name }]}>
          <Input autoFocus={registry === undefined} maxLength={255} />
        </Form.Item>
        <Form.Item name="description" label={words.registries.fields.description}><Input.TextArea rows={1} className="growing" /></Form.Item>
        <UrlField info={info} />
        <Form.Item name="accessKey" label={words.registries.fields.accessId} extra={words.registries.tips.accessId}
          dependencies={["accessSecret"]} rules={[({ getFieldValue }) => ({
            validator: (_, value: string) => value === "" && getFieldValue("accessSecret") !== "" ? Promise.reject(new Error(words.registries.required.secretWithoutId)) : Promise.resolve(),
          })]}>
          <Input autoComplete="off" disabled={info?.credential_pattern?.access_key_type === "AccessKeyTypeFix"} />
        </Form.Item>
        <Form.Item name="accessSecret" label={info?.credential_pattern?.access_secret_type === "AccessSecretTypeFile" ? words.registries.fields.jsonSecret : words.registries.fields.accessSecret}
          extra={moved ? undefined : start.accessSecret === unchangedSecret ? words.registries.tips.kept : undefined} validateStatus={moved ? "warning" : undefined} help={moved ? words.registries.tips.dropped : undefined}>
          {info?.credential_pattern?.access_secret_type === "AccessSecretTypeFile"
            ? <Input.TextArea rows={3} className="growing" autoComplete="off" spellCheck={false} />
            : <Input.Password autoComplete="new-password" visibilityToggle={false} />}
        </Form.Item>
        <Form.Item name="verify" valuePropName="checked" extra={words.registries.tips.verify}><Checkbox>{words.registries.fields.verify}</Checkbox></Form.Item>
        <Form.Item name="ca" label={words.registries.fields.ca} extra={words.registries.tips.ca} rules={[{ pattern: /^\s*(-----BEGIN CERTIFICATE-----[\s\S]*)?$/, message: words.registries.required.caForm }]}>
          <Input.TextArea disabled={!verify} rows={1} className="growing code" spellCheck={false} />
        </Form.Item>
      </Form>
      <div aria-live="polite">
        {test.isSuccess && <Alert type="success" showIcon title={words.registries.tested} data-testid="tested" />}
        {test.isError && <TestFailure error={test.error} />}
        {save.isError && <Failure error={save.error} />}
      </div>
    </Modal>
  );
}

function UrlField({ info }: { info: ProviderInfo | undefined }) {
  const { words } = useTongue();
  const endpoints = info?.endpoint_pattern?.endpoints ?? [];
  return (
    <Form.Item name="url" label={words.registries.fields.url} rules={[
      { required: true, whitespace: true, message: words.registries.required.url },
      { pattern: /^\s*([a-z]+:\/\/)?[^\s/]+/i, message: words.registries.required.urlForm },
    ]}>
      <AutoComplete placeholder="http(s)://192.168.1.1" disabled={info?.endpoint_pattern?.endpoint_type === "EndpointPatternTypeFix"}
        options={endpoints.map((e) => ({ value: e.value ?? "", label: `${e.key ?? ""} (${e.value ?? ""})` }))} showSearch={{ filterOption: (text, option) => (option?.label ?? "").toLowerCase().includes(text.toLowerCase()) }} />
    </Form.Item>
  );
}

function TestFailure({ error }: { error: unknown }) {
  const { words } = useTongue();
  const text = useErrorText();
  return <Alert type="error" showIcon title={words.registries.testFailed} description={<Said text={text(error).replace(/^the registry is unhealthy: /, "")} />} data-testid="test-failed" />;
}

/** Tests what the form says, with the stored secret where it says nothing else. */
function useTest(registry: Registry | undefined) {
  return useMutation({
    mutationFn: (f: Fields) => must(api.POST("/registries/ping", {
      body: {
        ...(registry?.id !== undefined && { id: registry.id }), type: f.type, url: f.url.trim(), credential_type: credentialType(registry, f),
        access_key: f.accessKey.trim(), access_secret: f.accessSecret, insecure: !f.verify, ca_certificate: f.ca.trim(),
      },
    })),
  });
}

function credentialType(registry: Registry | undefined, f: Fields): string {
  if (registry?.credential?.type != null && registry.credential.type !== "") return registry.credential.type;
  return f.accessKey === "" ? "" : "basic";
}

function useSave(registry: Registry | undefined, start: Fields, close: () => void) {
  const { words } = useTongue();
  const tell = useTell();
  const client = useQueryClient();
  const { notification } = App.useApp();
  return useMutation({
    mutationFn: async (f: Fields) => {
      if (registry?.id !== undefined) {
        await must(api.PUT("/registries/{id}", { params: { path: { id: registry.id } }, body: changes(registry, start, f) }));
        return undefined;
      }
      const { location } = await mustPage(api.POST("/registries", {
        body: {
          name: f.name.trim(), type: f.type, url: f.url.trim(), description: f.description, insecure: !f.verify, ca_certificate: f.ca.trim(),
          ...(f.accessKey !== "" && { credential: { type: "basic", access_key: f.accessKey.trim(), access_secret: f.accessSecret } }),
        },
      }));
      return must(api.GET("/registries/{id}", { params: { path: { id: Number(location.split("/").pop()) } } }));
    },
    onSuccess: (made) => {
      if (made?.status_reason != null && made.status_reason !== "") {
        notification.warning({ title: words.registries.createdUnhealthy, description: <Said text={made.status_reason} />, duration: 0, role: "alert" });
      }
      else tell.done(made === undefined ? words.registries.updated : words.registries.created);
      void client.invalidateQueries({ queryKey: ["registries"] });
      void client.invalidateQueries({ queryKey: ["policies"] });
      close();
    },
  });
}

/** Only what was changed: the rest may have been changed by somebody else. */
function changes(registry: Registry, start: Fields, f: Fields): RegistryUpdate {
  return {
    ...(f.name !== start.name && { name: f.name.trim() }),
    ...(f.description !== start.description && { description: f.description }),
    ...(f.url !== start.url && { url: f.url.trim() }),
    ...(f.accessKey !== start.accessKey && { access_key: f.accessKey.trim(), credential_type: credentialType(registry, f) }),
    ...(f.accessSecret !== start.accessSecret && { access_secret: f.accessSecret }),
    ...(f.verify !== start.verify && { insecure: !f.verify }),
    ...(f.ca !== start.ca && { ca_certificate: f.ca.trim() }),
  };
}
