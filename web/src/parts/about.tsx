// What this is, in which version, under which licence.
import { useQuery } from "@tanstack/react-query";
import { Descriptions, Modal, Typography } from "antd";
import { queries } from "../api/queries";
import { useWords } from "../words";
import { Copyable } from "./copy";
import { ownVersion } from "./version";

export default function AboutDialog({ close }: { close: () => void }) {
  const words = useWords();
  const { data: system } = useQuery(queries.system());
  const version = system?.harbor_version;
  const harbor = version?.replace(/-lighterage\..*$/, "");
  const own = version == null ? undefined : ownVersion(version);
  return (
    <Modal open title={words.nav.about} onCancel={close} onOk={close} okText={words.common.close} cancelButtonProps={{ style: { display: "none" } }} width={480}>
      <Typography.Paragraph>{words.nav.aboutText}</Typography.Paragraph>
      {own !== undefined && (
        <Descriptions column={1} size="small" items={[
          { key: "version", label: words.nav.versionOf, children: <Copyable text={own} code={false} /> },
          ...(harbor != null && harbor !== version ? [{ key: "harbor", label: words.nav.asHarbor, children: harbor }] : []),
          { key: "licence", label: words.nav.licence, children: "Apache-2.0" },
        ]} />
      )}
    </Modal>
  );
}
