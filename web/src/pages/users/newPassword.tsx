// A new password, twice.
import { Form, Input } from "antd";
import { useTongue } from "../../words";

/** Whether a password keeps Harbor's rule. */
function strong(password: string): boolean {
  return password.length >= 8 && password.length <= 128 && /[A-Z]/.test(password) && /[a-z]/.test(password) && /\d/.test(password);
}

export function NewPassword({ label }: { label: string }) {
  const { fields, required } = useTongue().words.users;
  return (
    <>
      <Form.Item name="password" label={label} extra={required.password} required rules={[{ validator: (_, value: string) => strong(value) ? Promise.resolve() : Promise.reject(new Error(required.password)) }]}>
        <Input.Password autoComplete="new-password" visibilityToggle={false} />
      </Form.Item>
      <Form.Item name="confirm" label={fields.confirm} dependencies={["password"]} required rules={[({ getFieldValue }) => ({
        validator: (_, value: string | undefined) => (value ?? "") === getFieldValue("password") ? Promise.resolve() : Promise.reject(new Error(required.same)),
      })]}>
        <Input.Password autoComplete="new-password" visibilityToggle={false} />
      </Form.Item>
    </>
  );
}
