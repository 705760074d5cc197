// The fields that a rule has beyond Harbor's. They are loaded when somebody unfolds them.
import { Checkbox, Form, Input, InputNumber, Radio, Select } from "antd";
import type { ReactNode } from "react";
import { useTongue } from "../../words";
import type { RuleFields } from "./fields";
import { isPattern } from "./pattern";

const platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x", "linux/riscv64", "windows/amd64"];
const artifactTypes = ["IMAGE", "CHART", "CNAB", "WASM", "SBOM", "MODEL"];

const platformForm = /^[\w.-]+\/[\w.-]+(\/[\w.-]+)?$/;
const artifactForm = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$|^[a-zA-Z0-9][\w!#$&^.+-]*\/[a-zA-Z0-9][\w!#$&^.+-]*$/;
const sinceForm = /^(?:\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))?|(?=.)(?:\d{1,4}w)?(?:\d{1,5}d)?(?:\d+(?:\.\d+)?h)?(?:\d+(?:\.\d+)?m)?(?:\d+(?:\.\d+)?s)?)$/;

export default function MoreFields() {
  const { words } = useTongue();
  const w = words.more;
  const trigger = Form.useWatch("trigger") as string | undefined;
  const chosen = Form.useWatch("platforms") as string[] | undefined ?? [];
  return (
    <>
      <Group title={w.groups.names}>
        <Patterns name="names" label={w.names} tip={w.namesTip} />
        <Patterns name="excludeNames" label={w.excludeNames} />
        <Line name="nameRegex" label={w.nameRegex} tip={w.regexTip} />
      </Group>
      <Group title={w.groups.tags}>
        <Patterns name="tags" label={w.tags} tip={w.tagsTip} />
        <Patterns name="excludeTags" label={w.excludeTags} />
        <Line name="tagRegex" label={w.tagRegex} tip={w.regexTip} />
        <Line name="semver" label={w.semver} tip={w.semverTip} placeholder=">=1.2 <2" />
        <Form.Item name="newest" label={w.newest} extra={w.newestTip} rules={[{ type: "integer", min: 1, max: 1_000_000, message: w.errors.newest }]}>
          <InputNumber style={{ width: 160 }} />
        </Form.Item>
        <Line name="pushedSince" label={w.pushedSince} tip={w.pushedSinceTip} placeholder="30d" rule={(text) => (sinceForm.test(text) ? undefined : w.errors.pushedSince)} />
      </Group>
      <Group title={w.groups.artifacts}>
        <Several name="artifactTypes" label={w.artifactTypes} tip={w.artifactTypesTip} offers={artifactTypes} wrong={(text) => (artifactForm.test(text) ? undefined : w.errors.artifactType(text))} />
        <Form.Item name="accessories" label={w.accessories}>
          <Select options={Object.entries(w.accessoryModes).map(([value, label]) => ({ value, label }))} />
        </Form.Item>
        <Several name="platforms" label={w.platforms} tip={w.platformsTip} offers={platforms} wrong={(text) => (platformForm.test(text) ? undefined : w.errors.platform(text))} />
        {chosen.length > 0 && (
          <Form.Item name="platformMode" label={w.platformMode}>
            <Radio.Group options={Object.entries(w.platformModes).map(([value, label]) => ({ value, label }))} />
          </Form.Item>
        )}
      </Group>
      <Renaming />
      {trigger === "event_based" && (
        <Group title={w.groups.events}>
          <Form.Item name="includeExisting" valuePropName="checked" extra={w.includeExistingTip} style={{ marginBottom: 0 }}><Checkbox>{w.includeExisting}</Checkbox></Form.Item>
        </Group>
      )}
    </>
  );
}

function Renaming() {
  const { words } = useTongue();
  const w = words.more;
  const filled = (value: unknown) => typeof value === "string" && value.trim() !== "";
  return (
    <Group title={w.groups.rename}>
      <Form.Item name="renameTemplate" label={w.renameTemplate} extra={w.renameTip} dependencies={["namespace", "renameRegex"]} rules={[({ getFieldValue }) => ({
        validator: (_, value: unknown) => {
          if (filled(value) && filled(getFieldValue("namespace"))) return Promise.reject(new Error(w.errors.renameAlone));
          return !filled(value) && filled(getFieldValue("renameRegex")) ? Promise.reject(new Error(w.errors.renameMissing)) : Promise.resolve();
        },
      })]}>
        <Input className="code" placeholder="mirror/{path}" spellCheck={false} />
      </Form.Item>
      <Line name="renameRegex" label={w.renameRegex} tip={w.renameRegexTip} placeholder="([^/]+)/(.+)" />
    </Group>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className="form-group">
      <legend style={{ fontWeight: 600, marginBottom: 8, padding: 0 }}>{title}</legend>
      {children}
    </fieldset>
  );
}

interface FieldProps { name: keyof RuleFields; label: string; tip?: string }

function Line({ name, label, tip, placeholder, rule }: FieldProps & { placeholder?: string; rule?: (text: string) => string | undefined }) {
  return (
    <Form.Item name={name} label={label} extra={tip} rules={[{
      validator: (_, value: string | undefined) => {
        const text = (value ?? "").trim();
        const wrong = text === "" ? undefined : rule?.(text);
        return wrong === undefined ? Promise.resolve() : Promise.reject(new Error(wrong));
      },
    }]}>
      <Input className="code" spellCheck={false} placeholder={placeholder} />
    </Form.Item>
  );
}

function Several({ name, label, tip, offers, wrong }: FieldProps & { offers?: string[]; wrong: (text: string) => string | undefined }) {
  return (
    <Form.Item name={name} label={label} extra={tip} rules={[{
      validator: (_, values: string[] | undefined) => {
        const first = (values ?? []).map(wrong).find((text) => text !== undefined);
        return first === undefined ? Promise.resolve() : Promise.reject(new Error(first));
      },
    }]}>
      {offers === undefined
        ? <Select mode="tags" open={false} suffixIcon={null} tokenSeparators={[" "]} className="code" />
        : <Select mode="tags" options={offers.map((value) => ({ value, label: value }))} tokenSeparators={[" ", ","]} />}
    </Form.Item>
  );
}

function Patterns(props: FieldProps) {
  const { words } = useTongue();
  return <Several {...props} wrong={(text) => (isPattern(text) ? undefined : words.more.errors.pattern(text))} />;
}
