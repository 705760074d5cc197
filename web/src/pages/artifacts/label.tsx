import { GlobalOutlined, TagOutlined } from "@ant-design/icons";
import { Tag } from "antd";
import type { Label } from "../../api/client";

/** A label with the colour that its maker chose, as a mark beside the text: so it can be read on any. */
export function LabelTag({ label }: { label: Label }) {
  const color = label.color == null || label.color === "" ? undefined : label.color;
  return (
    <Tag className="tag" icon={label.scope === "g" ? <GlobalOutlined /> : <TagOutlined />} title={label.description === "" ? undefined : label.description}>
      {color !== undefined && <span className="swatch" style={{ background: color }} />}
      {label.name}
    </Tag>
  );
}
