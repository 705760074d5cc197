import { Alert, Button, Form, Input } from "antd";
import { useState } from "react";
import { login } from "../api/client";
import { useWords } from "../words";
import { Failure } from "./failure";

/** The form of the sign-in page, and of the dialog when a session has ended. */
export function SignInForm({ onDone }: { onDone: () => void }) {
  const words = useWords();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<"wrong" | "slow" | { error: unknown }>();
  const [form] = Form.useForm<{ user: string; password: string }>();
  const submit = async ({ user, password }: { user: string; password: string }) => {
    setBusy(true);
    setProblem(undefined);
    try {
      const result = await login(user, password);
      if (result === "ok") {
        onDone();
        return;
      }
      setProblem(result);
      form.setFieldValue("password", "");
    } catch (error) {
      setProblem({ error });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Form form={form} layout="vertical" requiredMark={false} onFinish={(values) => void submit(values)} disabled={busy} validateTrigger="onSubmit">
      {problem === "wrong" && <Alert type="error" showIcon role="alert" title={words.signIn.wrong} style={{ marginBottom: 16 }} />}
      {problem === "slow" && <Alert type="warning" showIcon role="alert" title={words.signIn.slow} style={{ marginBottom: 16 }} />}
      {typeof problem === "object" && <div style={{ marginBottom: 16 }}><Failure error={problem.error} /></div>}
      <Form.Item name="user" label={words.signIn.user} rules={[{ required: true, message: words.signIn.userRequired }]}>
        <Input autoComplete="username" autoFocus size="large" />
      </Form.Item>
      <Form.Item name="password" label={words.signIn.password} rules={[{ required: true, message: words.signIn.passwordRequired }]}>
        <Input.Password autoComplete="current-password" size="large" visibilityToggle={false} />
      </Form.Item>
      <Button type="primary" htmlType="submit" size="large" block loading={busy}>{words.signIn.submit}</Button>
    </Form>
  );
}
