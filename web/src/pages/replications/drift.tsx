// How each reference of a rule stands at each destination, and what to do about it.
import { SafetyCertificateOutlined, SyncOutlined, ToolOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Checkbox, Select, Space, Table, Typography, type TableColumnsType } from "antd";
import { Link } from "react-router";
import { api, must, type Drift, type DriftItem, type Policy } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { DriftState } from "../../parts/status";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { destinationsOf, homeID } from "./fields";

export default function DriftTab({ policy }: { policy: Policy }) {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  const state = address.get("state") ?? "";
  const registry = numberIn(address, "registry");
  const only = address.has("only");
  const page = numberIn(address, "p") ?? 1;
  const size = numberIn(address, "s") ?? 15;
  const drift = useQuery(queries.drift(policy.id ?? 0, {
    page, page_size: size, ...(state !== "" && { state }), ...(registry !== undefined && { registry_id: registry }), ...(only && { drift_only: true }),
  }));
  const pagination = usePagination(page, size, drift.data?.total, (p, s) => setAddress({ p: p === 1 ? undefined : p, s: s === 15 ? undefined : s }));
  const columns = useColumns(policy);
  const destinations = destinationsOf(policy);
  const filtered = state !== "" || registry !== undefined || only;
  if (drift.error !== null) return <Failure error={drift.error} retry={() => void drift.refetch()} />;
  return (
    <>
      {drift.data !== undefined && <Summary policy={policy} drift={drift.data.data} />}
      <div className="toolbar" style={{ marginTop: 12 }}>
        <Checkbox checked={only} onChange={(e) => setAddress({ only: e.target.checked ? 1 : undefined, p: undefined })}>{words.drift.only}</Checkbox>
        <span className="toolbar-space" />
        {destinations.length > 1 && (
          <Select style={{ minWidth: 170 }} value={registry ?? -1} aria-label={words.drift.columns.destination} onChange={(value) => setAddress({ registry: value < 0 ? undefined : value, p: undefined })}
            options={[{ value: -1, label: words.drift.allDestinations }, ...destinations.map((d) => ({ value: d.id, label: d.id === homeID ? words.common.home : d.name }))]} />
        )}
        <Select style={{ width: 150 }} value={state} aria-label={words.drift.columns.state} onChange={(value) => setAddress({ state: value, p: undefined })}
          options={[{ value: "", label: words.drift.allStates }, ...Object.entries(words.drift.states).map(([value, label]) => ({ value, label }))]} />
      </div>
      <Table<DriftItem>
        rowKey={(i) => `${i.registry_id} ${i.src_repository} ${i.reference}`} columns={columns} dataSource={drift.data?.data.items ?? []} loading={drift.isPending} pagination={pagination} size="middle" scroll={{ x: 860 }}
        locale={{ emptyText: drift.isSuccess ? (filtered ? <Nothing title={words.drift.noMatch} /> : <Nothing title={words.drift.empty} text={words.drift.emptyText} />) : " " }}
      />
    </>
  );
}

function Summary({ policy, drift }: { policy: Policy; drift: Drift }) {
  const { words, format } = useTongue();
  const { verify, repair, busy } = useRepair(policy, drift);
  const { check } = drift;
  const running = check.running > 0 || check.asked > check.done;
  const verified = isTime(check.end_time);
  const title = drift.in_sync ? words.drift.inSync : drift.drift > 0 ? words.drift.drift(drift.drift) : words.drift.unknown;
  return (
    <Alert type={drift.in_sync ? "success" : drift.drift > 0 ? "error" : "info"} showIcon title={title} data-testid="drift-summary"
      description={
        <>
          {running && <div><SyncOutlined spin /> {words.drift.running}</div>}
          {drift.in_sync && <div>{words.drift.inSyncText}</div>}
          <div>{verified ? (check.deep === true ? words.drift.deepVerified : words.drift.verified)(format.relative(check.end_time)) : words.drift.never}</div>
          {check.error != null && check.error !== "" && <div><Said text={check.error} /></div>}
          {drift.waiting > 0 && <div>{words.drift.waiting(drift.waiting)}</div>}
        </>
      }
      action={
        <Space wrap style={{ justifyContent: "flex-end" }}>
          <Button icon={<SafetyCertificateOutlined />} loading={busy} onClick={() => verify(false)}>{words.drift.verify}</Button>
          <Button loading={busy} onClick={() => verify(true)}>{words.drift.deep}</Button>
          <Button type="primary" icon={<ToolOutlined />} disabled={drift.drift === 0} loading={busy} onClick={repair}>{words.drift.repair}</Button>
        </Space>
      } />
  );
}

function useRepair(policy: Policy, drift: Drift) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const id = policy.id ?? 0;
  const renew = () => {
    void client.invalidateQueries({ queryKey: ["drift", id] });
    void client.invalidateQueries({ queryKey: ["executions", id] });
  };
  const verify = useMutation({
    mutationFn: (deep: boolean) => must(api.POST("/replication/policies/{id}/drift", { params: { path: { id }, query: { deep } } })),
    onSuccess: () => tell.done(words.drift.asked), onError: tell.failed, onSettled: renew,
  });
  const repair = useMutation({
    mutationFn: () => must(api.POST("/replication/policies/{id}/drift/repair", { params: { path: { id } } })),
    onSuccess: ({ execution_id }) => tell.done(execution_id === 0 ? words.drift.nothing
      : <>{words.drift.repaired(execution_id)} <Link to={`/harbor/replications/${execution_id}/tasks`}>{words.replications.showExecution}</Link></>),
    onError: tell.failed, onSettled: renew,
  });
  const extra = drift.counts.filter((c) => c.state === "extra").reduce((sum, c) => sum + c.drift, 0);
  return {
    busy: verify.isPending || repair.isPending,
    verify: (deep: boolean) => verify.mutate(deep),
    repair: () => modal.confirm({
      title: words.drift.repairTitle, okText: words.drift.repair, cancelText: words.common.cancel, okButtonProps: { danger: extra > 0 },
      content: <><p>{words.drift.repairText(drift.drift)}</p>{extra > 0 && <Alert type="warning" showIcon title={words.drift.repairDelete(extra)} />}</>,
      onOk: () => repair.mutateAsync().catch(() => undefined),
    }),
  };
}

function useColumns(policy: Policy): TableColumnsType<DriftItem> {
  const { words, format } = useTongue();
  const names = new Map(destinationsOf(policy).map((d) => [d.id, d.id === homeID ? words.common.home : d.name]));
  return [
    {
      title: words.drift.columns.repository, dataIndex: "src_repository", className: "break",
      render: (name: string, i) => <>{name}{i.dst_repository != null && i.dst_repository !== "" && i.dst_repository !== name && <Typography.Text type="secondary" className="cell-sub">→ {i.dst_repository}</Typography.Text>}</>,
    },
    { title: words.drift.columns.reference, dataIndex: "reference", render: (text: string, i) => <span className="code" title={i.src_digest}>{text}</span> },
    { title: words.drift.columns.destination, dataIndex: "registry_id", className: "break", render: (id: number) => names.get(id) ?? id },
    { title: words.drift.columns.state, dataIndex: "state", render: (state: string) => <DriftState state={state} /> },
    { title: words.drift.columns.reason, dataIndex: "reason", className: "break", render: (text: string | undefined) => (text == null || text === "" ? null : <Said text={text} />) },
    { title: words.drift.columns.verified, dataIndex: "verified_time", className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
  ];
}
