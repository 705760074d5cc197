// The dialog of a new user, with Harbor's fields and its rules for names and passwords.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Form, Input, Modal } from "antd";
import { api, must } from "../../api/client";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { NewPassword } from "./newPassword";

interface Fields { username: string; email: string; realname: string; comment: string; password: string }

export function UserDialog({ close }: { close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const tell = useTell();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: ({ username, email, realname, comment, password }: Fields) => must(api.POST("/users", { body: { username: username.trim(), email: email.trim(), realname: realname.trim(), comment, password } })),
    onSuccess: () => {
      tell.done(words.users.created);
      void client.invalidateQueries({ queryKey: ["users"] });
      close();
    },
  });
  const { fields, required } = words.users;
  return (
    <Modal open title={words.users.new} onCancel={close} onOk={() => form.submit()} okText={words.common.ok} cancelText={words.common.cancel} confirmLoading={save.isPending} mask={{ closable: false }}>
      <Form<Fields> form={form} layout="vertical" initialValues={{ username: "", email: "", realname: "", comment: "", password: "" }} onFinish={(f) => save.mutate(f)} onValuesChange={() => save.reset()} scrollToFirstError>
        <Form.Item name="username" label={fields.name} rules={[{ required: true, whitespace: true, message: required.name }, { pattern: /^[^,"~#%$]{1,255}$/, message: required.nameForm }]}>
          <Input autoFocus autoComplete="off" />
        </Form.Item>
        <Form.Item name="email" label={fields.email} rules={[{ required: true, pattern: /^\s*[^\s@]+@[^\s@]+\.[^\s@]+\s*$/, message: required.email }]}><Input type="email" autoComplete="off" /></Form.Item>
        <Form.Item name="realname" label={fields.fullName} rules={[{ required: true, whitespace: true, message: required.fullName }]}><Input autoComplete="off" maxLength={20} /></Form.Item>
        <NewPassword label={fields.password} />
        <Form.Item name="comment" label={fields.comment}><Input maxLength={30} /></Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}
