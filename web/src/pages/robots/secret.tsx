// The secret of a robot, which is shown once.
import { DownloadOutlined } from "@ant-design/icons";
import { Button, Modal, Typography } from "antd";
import { useTongue } from "../../words";
import { Copyable } from "../../parts/copy";

export interface Secret { name: string; secret: string }

export function SecretDialog({ robot, close }: { robot: Secret; close: () => void }) {
  const { words } = useTongue();
  const save = () => {
    const url = URL.createObjectURL(new Blob([JSON.stringify(robot, null, 2), "\n"], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${robot.name.replace(/[^\w.-]/g, "_")}.json`;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <Modal open title={words.robots.secretTitle} onCancel={close} mask={{ closable: false }} footer={<><Button icon={<DownloadOutlined />} onClick={save}>{words.robots.export}</Button><Button type="primary" onClick={close}>{words.common.ok}</Button></>}>
      <Typography.Paragraph>{words.robots.secretText}</Typography.Paragraph>
      <dl className="facts">
        <div><dt>{words.robots.secretName}</dt><dd><Copyable text={robot.name} /></dd></div>
        <div><dt>{words.robots.secretToken}</dt><dd data-testid="secret"><Copyable text={robot.secret} /></dd></div>
      </dl>
    </Modal>
  );
}
