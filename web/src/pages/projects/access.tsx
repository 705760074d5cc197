import { GlobalOutlined, LockOutlined } from "@ant-design/icons";
import { Tag } from "antd";
import { useWords } from "../../words";

/** Whether everybody may pull from a project. */
export function Access({ open }: { open: boolean }) {
  const words = useWords();
  return open ? <Tag icon={<GlobalOutlined />}>{words.projects.public}</Tag> : <Tag icon={<LockOutlined />}>{words.projects.private}</Tag>;
}
