// Administration > Labels: the global ones.
import { PageHead, Panel } from "../../parts/page";
import { useTongue } from "../../words";
import { LabelsTable } from "./table";

export default function LabelsPage() {
  const { words } = useTongue();
  return (
    <>
      <PageHead title={words.labels.tab} sub={words.labels.intro} />
      <Panel><LabelsTable project={0} may={() => true} /></Panel>
    </>
  );
}
