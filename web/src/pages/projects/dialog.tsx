// The dialog of a new project.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Checkbox, Form, Input, Modal } from "antd";
import { useNavigate } from "react-router";
import { api, mustPage } from "../../api/client";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";

interface Fields {
  name: string;
  open: boolean;
}

const namePattern = /^\s*[a-z0-9]+(?:[._-][a-z0-9]+)*\s*$/;

export function ProjectDialog({ close }: { close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const tell = useTell();
  const client = useQueryClient();
  const navigate = useNavigate();
  const save = useMutation({
    mutationFn: async ({ name, open }: Fields) => {
      const { location } = await mustPage(api.POST("/projects", { body: { project_name: name.trim(), metadata: { public: String(open) } } }));
      return Number(location.split("/").pop());
    },
    onSuccess: async (id) => {
      tell.done(words.projects.created);
      void client.invalidateQueries({ queryKey: ["projects"] });
      await navigate(`/harbor/projects/${id}/repositories`);
    },
  });
  return (
    <Modal open title={words.projects.new} onCancel={close} okText={words.common.ok} cancelText={words.common.cancel} onOk={() => form.submit()} confirmLoading={save.isPending} mask={{ closable: false }} width={520}>
      <Form<Fields> form={form} layout="vertical" initialValues={{ name: "", open: false }} onFinish={(fields) => save.mutate(fields)} onValuesChange={() => save.reset()}>
        <Form.Item name="name" label={words.projects.fields.name} extra={words.projects.nameTip} rules={[
          { required: true, whitespace: true, message: words.projects.required.name },
          { pattern: namePattern, message: words.projects.required.nameForm },
        ]}>
          <Input autoFocus maxLength={255} autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item name="open" label={words.projects.fields.access} valuePropName="checked" extra={words.projects.publicTip}>
          <Checkbox>{words.projects.public}</Checkbox>
        </Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}
