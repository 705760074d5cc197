// What one is called and where one is reached, as one says oneself.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Form, Input, Modal } from "antd";
import { api, must, type User } from "../../api/client";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";

interface Fields { email: string; realname: string; comment: string }

export default function ProfileDialog({ user, close }: { user: User; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const tell = useTell();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: ({ email, realname, comment }: Fields) => must(api.PUT("/users/{user_id}", { params: { path: { user_id: user.user_id ?? 0 } }, body: { email: email.trim(), realname: realname.trim(), comment } })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["user"] });
      void client.invalidateQueries({ queryKey: ["users"] });
      tell.done(words.users.profileSaved);
      close();
    },
  });
  const { fields, required } = words.users;
  return (
    <Modal open title={words.users.profile} onCancel={close} onOk={() => form.submit()} okText={words.common.ok} cancelText={words.common.cancel} confirmLoading={save.isPending} mask={{ closable: false }} destroyOnHidden>
      <Form<Fields> form={form} layout="vertical" initialValues={{ email: user.email ?? "", realname: user.realname ?? "", comment: user.comment ?? "" }} onFinish={(f) => save.mutate(f)} onValuesChange={() => save.reset()} scrollToFirstError>
        <Form.Item label={fields.name} htmlFor="profile-name"><Input id="profile-name" value={user.username} readOnly disabled /></Form.Item>
        <Form.Item name="email" label={fields.email} rules={[{ required: true, pattern: /^\s*[^\s@]+@[^\s@]+\.[^\s@]+\s*$/, message: required.email }]}><Input type="email" autoComplete="email" autoFocus /></Form.Item>
        <Form.Item name="realname" label={fields.fullName} rules={[{ required: true, whitespace: true, message: required.fullName }]}><Input autoComplete="name" maxLength={20} /></Form.Item>
        <Form.Item name="comment" label={fields.comment}><Input maxLength={30} /></Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}
