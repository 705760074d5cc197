// The dialogs of an artifact: another tag, and its labels.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Checkbox, Form, Input, Modal, Typography } from "antd";
import { api, must, type Artifact, type Label } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { useRenew } from "./actions";
import { LabelTag } from "./label";
import { nameOf } from "./names";
import { at, type Place } from "./place";

export function TagDialog({ place, artifact, close }: { place: Place; artifact: Artifact; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<{ tag: string }>();
  const tell = useTell();
  const renew = useRenew();
  const save = useMutation({
    mutationFn: ({ tag }: { tag: string }) => must(api.POST("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags", {
      params: { path: at(place, artifact.digest ?? "") }, body: { name: tag.trim() },
    })),
    onSuccess: () => { tell.done(words.artifacts.tagAdded); void renew(); close(); },
  });
  return (
    <Modal open title={words.artifacts.addTagTo(nameOf(artifact))} onCancel={close} okText={words.common.ok} cancelText={words.common.cancel} onOk={() => form.submit()} confirmLoading={save.isPending} mask={{ closable: false }} width={520}>
      <Form form={form} layout="vertical" initialValues={{ tag: "" }} onFinish={(fields) => save.mutate(fields)} onValuesChange={() => save.reset()}>
        <Form.Item name="tag" label={words.artifacts.tagName} rules={[
          { required: true, whitespace: true, message: words.artifacts.tagRequired },
          { pattern: /^\s*\w[\w.-]{0,127}\s*$/, message: words.artifacts.tagForm },
        ]}>
          <Input autoFocus autoComplete="off" spellCheck={false} />
        </Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}

/** Global labels and those of the project; each is put on and taken off at once. */
export function LabelsDialog({ place, artifact, close }: { place: Place; artifact: Artifact; close: () => void }) {
  const { words } = useTongue();
  const tell = useTell();
  const renew = useRenew();
  const labels = useLabels(place);
  const path = at(place, artifact.digest ?? "");
  const turn = useMutation({
    mutationFn: ({ label, on }: { label: Label; on: boolean }) => (on
      ? must(api.POST("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels", { params: { path }, body: { id: label.id ?? 0 } }))
      : must(api.DELETE("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels/{label_id}", { params: { path: { ...path, label_id: label.id ?? 0 } } }))),
    onError: tell.failed, onSettled: renew, // and it is pending until what is shown is new
  });
  const has = new Set((artifact.labels ?? []).map((l) => l.id));
  const shown = (id: number | undefined) => (turn.isPending && turn.variables.label.id === id ? turn.variables.on : has.has(id));
  return (
    <Modal open title={words.artifacts.labelsOf(nameOf(artifact))} onCancel={close} onOk={close} okText={words.common.close} cancelButtonProps={{ style: { display: "none" } }} width={520}>
      {labels.length === 0 && <Typography.Paragraph type="secondary">{words.artifacts.noLabels}</Typography.Paragraph>}
      <ul className="plain">
        {labels.map((label) => (
          <li key={label.id} style={{ padding: "4px 0" }}>
            <Checkbox checked={shown(label.id)} disabled={turn.isPending || !place.may(has.has(label.id) ? "artifact-label:delete" : "artifact-label:create")} onChange={(e) => turn.mutate({ label, on: e.target.checked })}>
              <LabelTag label={label} />
            </Checkbox>
            {label.description != null && label.description !== "" && <Typography.Text type="secondary" className="cell-sub break">{label.description}</Typography.Text>}
          </li>
        ))}
      </ul>
    </Modal>
  );
}

/** The labels that artifacts of a project may have. */
export function useLabels(place: Place): Label[] {
  const global = useQuery(queries.labels());
  const own = useQuery({ ...queries.projectLabels(place.id), enabled: place.may("label:list") });
  return [...(own.data ?? []), ...(global.data ?? [])];
}
