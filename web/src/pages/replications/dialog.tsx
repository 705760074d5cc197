// The dialog of a rule: Harbor's fields, order and defaults, and what they mean in words.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Form, Input, InputNumber, Modal, Radio, Select, Space, type FormInstance } from "antd";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { ApiError, api, must, type Policy, type Registry } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { destinationName, fieldError, fieldsOf, homeID, moreCount, moreFields, namespaceForm, newRule, policyOf, type RuleFields } from "./fields";
import { More } from "./more";
import { invented, isPattern, matches } from "./pattern";
import { PreviewPane } from "./preview";
import { FiltersInWords } from "./selection";
import { Trigger } from "./trigger";
import { useRulePreview } from "./usePreview";

interface Props {
  policy?: Policy; // that is edited or copied
  copy?: boolean;
  policies: Policy[];
  close: () => void;
}

export default function RuleDialog({ policy, copy, policies, close }: Props) {
  const { words, translated } = useTongue();
  const [form] = Form.useForm<RuleFields>();
  const edited = copy === true ? undefined : policy;
  const [before] = useState(policy); // what others change meanwhile does not move the form
  const [start] = useState(() => (policy === undefined ? newRule : { ...fieldsOf(policy), ...(copy === true && { name: freeName(policy.name ?? "", policies) }) }));
  const registries = useQuery(queries.registries());
  const [open, setOpen] = useState(() => moreCount(start) > 0);
  const save = useSave(edited, before, close, (error) => {
    const wrong = fieldErrorOf(error);
    if (wrong === undefined) return;
    setOpen(true);
    form.setFields([{ name: wrong.field, errors: [translated(wrong.text) ?? wrong.text] }]);
    form.scrollToField(wrong.field, { block: "center" });
  });
  const [bytes, setBytes] = useState(false);
  const preview = useRulePreview(form, before, bytes);
  const names = useMemo(() => new Set(policies.filter((p) => p.id !== edited?.id).map((p) => p.name)), [policies, edited]);
  const footer = (
    <Space wrap>
      <Button onClick={close}>{words.common.cancel}</Button>
      <Button type="primary" loading={save.isPending} onClick={() => form.submit()}>{words.common.save}</Button>
    </Space>
  );
  return (
    <Modal open title={edited === undefined ? words.rule.newTitle : words.rule.editTitle} onCancel={close} footer={footer} width={1240} mask={{ closable: false }}>
      <div className="with-preview">
        <Form<RuleFields> form={form} layout="vertical" initialValues={start} onFinish={() => save.mutate(form.getFieldsValue(true) as RuleFields)} onValuesChange={() => save.reset()} scrollToFirstError
          onFinishFailed={({ errorFields }) => { if (errorFields.some((f) => inMore.has(String(f.name[0])))) setOpen(true); }}>
          <Form.Item name="name" label={words.rule.name} validateFirst rules={[
            { required: true, whitespace: true, message: words.rule.required.name },
            { pattern: /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/, max: 255, message: words.rule.required.nameForm },
            { validator: (_, value: string) => (names.has(value) ? Promise.reject(new Error(words.rule.required.nameTaken)) : Promise.resolve()) },
          ]}>
            <Input autoFocus={edited === undefined} />
          </Form.Item>
          <Form.Item name="description" label={words.rule.description}><Input.TextArea rows={1} className="growing" /></Form.Item>
          <Mode form={form} fixed={edited !== undefined} />
          <SourceRegistry registries={registries.data} />
          <Filters />
          <Destination registries={registries.data} found={preview.plan?.example?.src_repository} />
          <Trigger />
          <Bandwidth />
          <Options />
          <More open={open} toggle={setOpen} />
        </Form>
        <PreviewPane preview={preview} bytes={bytes} setBytes={setBytes} />
      </div>
      <div aria-live="polite">{save.isError && fieldErrorOf(save.error) === undefined && <Failure error={save.error} />}</div>
    </Modal>
  );
}

/** The mistake in a field that the server has told of. */
function fieldErrorOf(error: Error) {
  return error instanceof ApiError ? fieldError(error.message) : undefined;
}

const inMore = new Set<string | undefined>(Object.values(moreFields));

function freeName(name: string, policies: Policy[]): string {
  const taken = new Set(policies.map((p) => p.name));
  for (let n = 1; ; n++) {
    const candidate = `${name}-copy${n === 1 ? "" : n}`;
    if (!taken.has(candidate)) return candidate;
  }
}

function Mode({ form, fixed }: { form: FormInstance<RuleFields>; fixed: boolean }) {
  const { words } = useTongue();
  const mode = Form.useWatch("mode", form) ?? "push";
  return (
    <Form.Item name="mode" label={words.rule.mode} extra={fixed ? words.rule.modeFixed : mode === "push" ? words.rule.pushTip : words.rule.pullTip}>
      <Radio.Group disabled={fixed} options={[{ value: "push", label: words.rule.push }, { value: "pull", label: words.rule.pull }]}
        onChange={(e) => form.setFieldsValue(e.target.value === "pull" ? { destinations: [homeID], trigger: form.getFieldValue("trigger") === "event_based" ? "manual" : form.getFieldValue("trigger") } : { destinations: [], source: undefined })} />
    </Form.Item>
  );
}

function registryOptions(registries: Registry[] | undefined) {
  return (registries ?? []).map((r) => ({ value: r.id ?? homeID, label: `${r.name ?? ""} (${r.url ?? ""})` }));
}

function SourceRegistry({ registries }: { registries: Registry[] | undefined }) {
  const { words } = useTongue();
  const mode = Form.useWatch("mode");
  if (mode !== "pull") return null;
  return (
    <Form.Item name="source" label={words.rule.source} rules={[{ required: true, message: words.rule.required.source }]}>
      <Select showSearch={{ optionFilterProp: "label" }} options={registryOptions(registries)} notFoundContent={<AddFirst />} />
    </Form.Item>
  );
}

function AddFirst() {
  const { words } = useTongue();
  return <Link to="/harbor/registries?new=1">{words.replications.needsEndpoint}</Link>;
}

function Filters() {
  const { words } = useTongue();
  const mode = Form.useWatch("mode") as string | undefined;
  const source = Form.useWatch("source") as number | undefined;
  const from = mode === "pull" ? source : homeID;
  const info = useQuery({ ...queries.registryInfo(from ?? homeID), enabled: from !== undefined });
  const labels = useQuery({ ...queries.labels(), enabled: mode !== "pull", retry: false });
  const known = info.data?.supported_resource_filters.find((f) => f.type === "resource")?.values;
  const withLabels = info.data === undefined || info.data.supported_resource_filters.some((f) => f.type === "label");
  const [name, tag, chosen, resource] = [Form.useWatch("filterName"), Form.useWatch("filterTag"), Form.useWatch("filterLabels"), Form.useWatch("resource")] as [string?, string?, string[]?, string?];
  const everything = isEverything(name) && isEverything(tag) && (chosen ?? []).length === 0 && (resource ?? "") === "";
  const pattern = { validator: (_: unknown, value: string) => (isPattern(value) ? Promise.resolve() : Promise.reject(new Error(words.rule.required.pattern))) };
  const decorations = (label: string, field: "tagDecoration" | "labelDecoration") => (
    <Form.Item name={field} noStyle>
      <Select style={{ width: 120 }} aria-label={`${label}: ${words.rule.matching} / ${words.rule.excluding}`} options={[{ value: "matches", label: words.rule.matching }, { value: "excludes", label: words.rule.excluding }]} />
    </Form.Item>
  );
  return (
    <fieldset className="form-group">
      <Legend text={words.rule.filters} />
      <Form.Item name="filterName" label={words.rule.filterName} extra={words.rule.nameTip} rules={[pattern]}><Input className="code" placeholder="**" spellCheck={false} /></Form.Item>
      <Form.Item label={words.rule.filterTag} htmlFor="filterTag" extra={words.rule.tagTip}>
        <div className="form-row">
          {decorations(words.rule.filterTag, "tagDecoration")}
          <Form.Item name="filterTag" noStyle rules={[pattern]}><Input className="code grow" placeholder="**" spellCheck={false} style={{ flex: 1 }} /></Form.Item>
        </div>
      </Form.Item>
      {withLabels && (
        <Form.Item label={words.rule.filterLabel} htmlFor="filterLabels" extra={words.rule.labelTip}>
          <div className="form-row">
            {decorations(words.rule.filterLabel, "labelDecoration")}
            <Form.Item name="filterLabels" noStyle><Select mode="tags" style={{ flex: "1 1 220px" }} options={(labels.data ?? []).map((l) => ({ value: l.name, label: l.name }))} tokenSeparators={[","]} /></Form.Item>
          </div>
        </Form.Item>
      )}
      <Form.Item name="resource" label={words.rule.filterResource} extra={words.rule.resourceTip}>
        <Select options={["", ...(known ?? ["image", "artifact"])].map((value) => ({ value, label: words.rule.resources[value] ?? value }))} />
      </Form.Item>
      <FiltersInWords />
      {everything && <Alert type="info" showIcon title={words.rule.warnings.everything} style={{ marginBottom: 24 }} />}
    </fieldset>
  );
}

function isEverything(pattern: string | undefined): boolean {
  return pattern === undefined || pattern.trim() === "" || pattern.trim() === "**";
}

function Legend({ text }: { text: string }) {
  return <legend style={{ fontWeight: 600, marginBottom: 8, padding: 0 }}>{text}</legend>;
}

/** A repository to show what becomes of names: one that the rule matches, if one is known. */
function useExample(found: string | undefined): string {
  const pattern = Form.useWatch("filterName") as string | undefined ?? "";
  const push = Form.useWatch("mode") !== "pull";
  const home = useQuery({ ...queries.homeRepositories(), enabled: push });
  if (found !== undefined && matches(pattern, found)) return found;
  return (push ? home.data?.find((r) => matches(pattern, r.name ?? ""))?.name : undefined) ?? invented(pattern);
}

function Destination({ registries, found }: { registries: Registry[] | undefined; found: string | undefined }) {
  const { words } = useTongue();
  const mode = Form.useWatch("mode") as string | undefined;
  const source = Form.useWatch("source") as number | undefined;
  const namespace = (Form.useWatch("namespace") as string | undefined ?? "").trim();
  const replaceCount = Form.useWatch("replaceCount") as number | undefined ?? 1;
  const example = useExample(found);
  const becomes = destinationName(example, namespace, replaceCount);
  const pull = mode === "pull";
  const options = [...(pull ? [{ value: homeID, label: words.common.home }] : []), ...registryOptions(registries).filter((o) => !pull || o.value !== source)];
  return (
    <fieldset className="form-group">
      <Legend text={words.rule.destination} />
      <Form.Item name="destinations" label={words.rule.destinationRegistry} extra={words.rule.destinationTip} rules={[{ required: true, type: "array", min: 1, message: words.rule.required.destination }]}>
        <Select mode="multiple" options={options} showSearch={{ optionFilterProp: "label" }} notFoundContent={<AddFirst />} />
      </Form.Item>
      <Form.Item name="namespace" label={words.rule.namespace} extra={words.rule.namespaceTip} rules={[{ pattern: namespaceForm, message: words.rule.required.namespaceForm }]}><Input spellCheck={false} /></Form.Item>
      <Form.Item name="replaceCount" label={words.rule.flattening} extra={
        <>
          {words.rule.flatteningTip}
          {namespace !== "" && <span className="explain code" data-testid="becomes">{becomes === undefined ? words.rule.tooShort(example) : words.rule.becomes(example, becomes)}</span>}
        </>
      }>
        <Select disabled={namespace === ""} options={[-1, 0, 1, 2, 3].map((value) => ({ value, label: words.rule.flattenings[String(value)] }))} />
      </Form.Item>
    </fieldset>
  );
}

function Bandwidth() {
  const { words } = useTongue();
  return (
    <Form.Item label={words.rule.bandwidth} htmlFor="speed" required extra={words.rule.bandwidthTip}>
      <div className="form-row">
        <Form.Item name="speed" noStyle rules={[{
          validator: (_, value: unknown) => (typeof value === "number" && Number.isInteger(value) && (value === -1 || value > 0) ? Promise.resolve() : Promise.reject(new Error(words.rule.bandwidthInvalid))),
        }]}>
          <InputNumber style={{ width: 160 }} max={2_000_000_000} />
        </Form.Item>
        <Form.Item name="unit" noStyle><Select style={{ width: 100 }} aria-label={`${words.rule.bandwidth}: Kbps / Mbps`} options={["Kbps", "Mbps"].map((value) => ({ value, label: value }))} /></Form.Item>
      </div>
    </Form.Item>
  );
}

function Options() {
  const { words } = useTongue();
  const trigger = Form.useWatch("trigger") as string | undefined;
  const option = (name: keyof RuleFields, text: string, tip?: string) => (
    <Form.Item key={name} name={name} valuePropName="checked" style={{ marginBottom: 8 }} extra={tip}><Checkbox>{text}</Checkbox></Form.Item>
  );
  return (
    <fieldset className="form-group">
      <Legend text={words.rule.options} />
      {option("override", words.rule.override, words.rule.overrideTip)}
      {option("chunk", words.rule.chunk, words.rule.chunkTip)}
      {option("enabled", words.rule.enable)}
      {trigger !== "event_based" && option("single", words.rule.single, words.rule.singleTip)}
    </fieldset>
  );
}

function useSave(edited: Policy | undefined, before: Policy | undefined, close: () => void, refused: (error: Error) => void) {
  const { words } = useTongue();
  const tell = useTell();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (f: RuleFields) => {
      const body = policyOf(f, before);
      if (edited?.id !== undefined) return must(api.PUT("/replication/policies/{id}", { params: { path: { id: edited.id } }, body }));
      const { id: _id, ...fresh } = body;
      return must(api.POST("/replication/policies", { body: fresh }));
    },
    onError: refused,
    onSuccess: () => {
      tell.done(edited === undefined ? words.replications.created : words.replications.updated);
      void client.invalidateQueries({ queryKey: ["policies"] });
      void client.invalidateQueries({ queryKey: ["drift"] });
      close();
    },
  });
}
