// A new password for oneself, or for somebody who has forgotten theirs.
import { useMutation } from "@tanstack/react-query";
import { Form, Input, Modal } from "antd";
import { api, must, type User } from "../../api/client";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { NewPassword } from "./newPassword";

interface Fields { old: string; password: string }

export default function PasswordDialog({ user, own = false, close }: { user: User; own?: boolean; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const tell = useTell();
  const save = useMutation({
    mutationFn: (f: Fields) => must(api.PUT("/users/{user_id}/password", { params: { path: { user_id: user.user_id ?? 0 } }, body: { ...(own && { old_password: f.old }), new_password: f.password } })),
    onSuccess: () => {
      tell.done(own ? words.users.ownPasswordSet : words.users.passwordSet);
      close();
    },
  });
  const { fields, required } = words.users;
  return (
    <Modal open title={own ? words.users.changePassword : `${words.users.resetPassword}: ${user.username ?? ""}`} onCancel={close} onOk={() => form.submit()} okText={words.common.ok} cancelText={words.common.cancel} confirmLoading={save.isPending} mask={{ closable: false }} destroyOnHidden>
      <Form<Fields> form={form} layout="vertical" initialValues={{ old: "", password: "" }} onFinish={(f) => save.mutate(f)} onValuesChange={() => save.reset()}>
        {own && <Form.Item name="old" label={fields.old} rules={[{ required: true, message: required.old }]}><Input.Password autoFocus autoComplete="current-password" visibilityToggle={false} /></Form.Item>}
        <NewPassword label={fields.next} />
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}
