// What the home registry stores, whether it is whole, and how it gets elsewhere.
import { useQuery } from "@tanstack/react-query";
import { Alert, Tabs } from "antd";
import { ApiError } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { PageHead, Panel } from "../../parts/page";
import { useAddress } from "../../parts/paging";
import { useTongue } from "../../words";
import { Check } from "./check";
import { Migration } from "./migration";
import { Usage } from "./usage";

export default function StoragePage() {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  const storage = useQuery(queries.storage());
  const tab = address.get("tab") ?? "usage";
  const elsewhere = storage.error instanceof ApiError && storage.error.status === 412;
  return (
    <>
      <PageHead title={words.storage.title} sub={storage.data !== undefined ? <span className="break">{words.storage.at(storage.data.place)}</span> : undefined} />
      {storage.isPending && <Loading />}
      {elsewhere && <Alert type="info" showIcon title={words.storage.elsewhere} description={words.storage.elsewhereText} />}
      {storage.error !== null && !elsewhere && <Failure error={storage.error} retry={() => void storage.refetch()} />}
      {storage.data !== undefined && (
        <Panel>
          <Tabs activeKey={tab} destroyOnHidden onChange={(key) => setAddress({ tab: key === "usage" ? undefined : key, severity: undefined, kind: undefined, search: undefined, page: undefined, page_size: undefined })}
            items={[
              { key: "usage", label: words.storage.tabs.usage, children: <Usage /> },
              { key: "check", label: words.storage.tabs.check, children: <Check /> },
              { key: "migration", label: words.storage.tabs.migration, children: <Migration home={storage.data} /> },
            ]} />
        </Panel>
      )}
    </>
  );
}
