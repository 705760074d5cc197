// Administration > Replications: Harbor's grid of rules, and below it what the selected
// rule has done and how its destinations stand.
import { CaretRightOutlined, DownOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Dropdown, Input, Table, Tabs, Typography, type TableColumnsType } from "antd";
import { lazy, Suspense, useMemo } from "react";
import { Link } from "react-router";
import { api, must, mustPage, type Policy } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { Enabled } from "../../parts/status";
import { useTongue } from "../../words";
import { readCron } from "../../words/cron";
import { isTime } from "../../words/format";
import { ExecutionsTab } from "./executions";
import { destinationsOf, homeID, isPush } from "./fields";

const RuleDialog = lazy(() => import("./dialog"));
const DriftTab = lazy(() => import("./drift"));
const PlanTab = lazy(() => import("./planTab"));

const tabs = ["executions", "drift", "plan"];

export default function ReplicationsPage() {
  const { words } = useTongue();
  const [address, setAddress] = useAddress();
  const policies = useQuery(queries.policies());
  const search = address.get("search") ?? "";
  const page = numberIn(address, "page") ?? 1;
  const size = numberIn(address, "page_size") ?? 15;
  const shown = useMemo(
    () => (policies.data ?? []).filter((p) => (p.name ?? "").toLowerCase().includes(search.toLowerCase())),
    [policies.data, search],
  );
  const rule = policies.data?.find((p) => p.id === numberIn(address, "rule"));
  const select = (id: number | undefined) => setAddress({ rule: id, tab: undefined, status: undefined, trigger: undefined, state: undefined, registry: undefined, only: undefined, p: undefined, s: undefined });
  const pagination = usePagination(page, size, shown.length, (p, s) => setAddress({ page: p === 1 ? undefined : p, page_size: s === 15 ? undefined : s }));
  const columns = useColumns(select);
  const act = useActions(() => select(undefined));
  const find = (name: string) => policies.data?.find((p) => p.id === numberIn(address, name));
  const [edited, copied] = [find("edit"), find("copy")];
  const add = <Button type="primary" icon={<PlusOutlined />} onClick={() => setAddress({ new: 1 })}>{words.replications.new}</Button>;
  const menu = {
    items: [
      { key: "edit", label: words.replications.edit, onClick: () => setAddress({ edit: rule?.id }) },
      rule?.enabled === true
        ? { key: "deactivate", label: words.replications.deactivate, onClick: () => rule !== undefined && act.deactivate(rule) }
        : { key: "enable", label: words.replications.enable, onClick: () => rule !== undefined && act.enable(rule) },
      { key: "copy", label: words.replications.copy, onClick: () => setAddress({ copy: rule?.id }) },
      { type: "divider" as const },
      { key: "delete", danger: true, label: words.replications.delete, onClick: () => rule !== undefined && act.remove(rule) },
    ],
  };
  return (
    <>
      <PageHead title={words.replications.title} />
      <Panel>
        <div className="toolbar">
          {add}
          <Button icon={<CaretRightOutlined />} disabled={rule?.enabled !== true} onClick={() => rule !== undefined && act.replicate(rule)}>{words.replications.replicate}</Button>
          <Dropdown menu={menu} disabled={rule === undefined} trigger={["click"]}><Button>{words.common.actions} <DownOutlined style={{ fontSize: 10 }} /></Button></Dropdown>
          <span className="toolbar-space" />
          <Input.Search className="toolbar-search" allowClear placeholder={words.replications.filter} aria-label={words.replications.filter} defaultValue={search} onChange={(e) => setAddress({ search: e.target.value, page: undefined })} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void policies.refetch()} />
        </div>
        {policies.error !== null && <Failure error={policies.error} retry={() => void policies.refetch()} />}
        <Table<Policy>
          className="rows-clickable" rowKey={(p) => p.id ?? 0} columns={columns} dataSource={shown} loading={policies.isPending} pagination={pagination} size="middle" scroll={{ x: 1100 }}
          onRow={(p) => ({ onClick: () => select(p.id) })}
          rowSelection={{
            type: "radio", selectedRowKeys: rule?.id === undefined ? [] : [rule.id], onChange: ([key]) => select(key === undefined ? undefined : Number(key)),
            getCheckboxProps: (p) => ({ "aria-label": words.common.select(p.name ?? "") }),
          }}
          locale={{ emptyText: policies.isSuccess ? (search === "" ? <Nothing title={words.replications.empty} text={words.replications.emptyText}>{add}</Nothing> : <Nothing title={words.replications.noMatch} />) : " " }}
        />
      </Panel>
      {rule === undefined
        ? (policies.data?.length ?? 0) > 0 && <Typography.Paragraph type="secondary" style={{ marginTop: 16 }}>{words.replications.choose}</Typography.Paragraph>
        : (
          <Panel label={rule.name ?? ""}>
            <Typography.Title level={2} className="break" style={{ fontSize: 18, margin: 0 }}>{rule.name}</Typography.Title>
            <Tabs key={rule.id} activeKey={tabs.find((tab) => tab === address.get("tab")) ?? "executions"} onChange={(tab) => setAddress({ tab: tab === "executions" ? undefined : tab, p: undefined })} destroyOnHidden
              items={[
                { key: "executions", label: words.replications.tabs.executions, children: <ExecutionsTab policy={rule} /> },
                { key: "drift", label: words.replications.tabs.drift, children: <Suspense fallback={<Loading />}><DriftTab policy={rule} /></Suspense> },
                { key: "plan", label: words.plan.tab, children: <Suspense fallback={<Loading />}><PlanTab policy={rule} /></Suspense> },
              ]} />
          </Panel>
        )}
      <Suspense fallback={null}>
        {address.has("new") && policies.isSuccess && <RuleDialog policies={policies.data} close={() => setAddress({ new: undefined })} />}
        {edited !== undefined && <RuleDialog key={edited.id} policy={edited} policies={policies.data ?? []} close={() => setAddress({ edit: undefined })} />}
        {copied !== undefined && <RuleDialog key={`copy ${copied.id}`} copy policy={copied} policies={policies.data ?? []} close={() => setAddress({ copy: undefined })} />}
      </Suspense>
    </>
  );
}

function useColumns(select: (id: number | undefined) => void): TableColumnsType<Policy> {
  const { words, format } = useTongue();
  return [
    {
      title: words.replications.columns.name, dataIndex: "name", sorter: (a, b) => (a.name ?? "").localeCompare(b.name ?? ""),
      render: (name: string, p) => <Button type="link" className="break" style={{ padding: 0, height: "auto", whiteSpace: "normal", textAlign: "start" }} onClick={() => select(p.id)}>{name}</Button>,
    },
    { title: words.replications.columns.status, dataIndex: "enabled", render: (enabled: boolean | undefined) => <Enabled enabled={enabled} /> },
    { title: words.replications.columns.source, key: "source", className: "break", render: (_, p) => ((p.src_registry?.id ?? homeID) === homeID ? words.common.home : p.src_registry?.name) },
    { title: words.replications.columns.mode, key: "mode", className: "nowrap", render: (_, p) => (isPush(p) ? words.replications.push : words.replications.pull) },
    {
      title: words.replications.columns.destination, key: "destination", className: "break",
      render: (_, p) => destinationsOf(p).map((d) => <div key={d.id}>{d.id === homeID ? words.common.home : d.name} : {p.dest_namespace == null || p.dest_namespace === "" ? "-" : p.dest_namespace}</div>),
    },
    {
      title: words.replications.columns.flattening, key: "flattening",
      render: (_, p) => (p.dest_namespace == null || p.dest_namespace === "" ? "-" : words.rule.flattenings[String(p.dest_namespace_replace_count ?? -1)] ?? p.dest_namespace_replace_count),
    },
    { title: words.replications.columns.bandwidth, key: "bandwidth", className: "nowrap", render: (_, p) => (p.speed == null || p.speed <= 0 ? words.replications.unlimited : p.speed % 1024 === 0 ? `${format.number(p.speed / 1024)} Mbps` : `${format.number(p.speed)} Kbps`) },
    { title: words.replications.columns.description, dataIndex: "description", className: "break" },
    { title: words.replications.columns.trigger, key: "trigger", render: (_, p) => <Trigger policy={p} /> },
  ];
}

function Trigger({ policy }: { policy: Policy }) {
  const { words, language, tag, format } = useTongue();
  const type = policy.trigger?.type ?? "manual";
  const cron = policy.trigger?.trigger_settings?.cron ?? "";
  if (type !== "scheduled") return words.rule.triggers[type] ?? type;
  return (
    <>
      {words.rule.triggers[type]}
      <Typography.Text type="secondary" className="cell-sub" title={cron}>{readCron(cron, language, tag, words.cron).text ?? cron} {policy.trigger?.trigger_settings?.time_zone ?? "UTC"}</Typography.Text>
      {isTime(policy.next_run_time) && <Typography.Text type="secondary" className="cell-sub" title={format.time(policy.next_run_time)}>{words.replications.nextRun(format.relative(policy.next_run_time))}</Typography.Text>}
    </>
  );
}

/** What can be done to a rule; all of it asks first but for what is undone by a click. */
function useActions(deleted: () => void) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const renew = () => {
    void client.invalidateQueries({ queryKey: ["policies"] });
    void client.invalidateQueries({ queryKey: ["executions"] });
  };
  const start = useMutation({
    mutationFn: async (p: Policy) => {
      const { location } = await mustPage(api.POST("/replication/executions", { body: { policy_id: p.id ?? 0 } }));
      return Number(location.split("/").pop());
    },
    onSuccess: (id) => tell.done(<>{words.replications.started(id)} <Link to={`/harbor/replications/${id}/tasks`}>{words.replications.showExecution}</Link></>),
    onError: tell.failed, onSettled: renew,
  });
  const setEnabled = useMutation({
    mutationFn: async ({ id, enabled }: { id: number; enabled: boolean }) => {
      // The whole rule is replaced: as it is now, not as it was shown.
      const now = await must(api.GET("/replication/policies/{id}", { params: { path: { id } } }));
      await must(api.PUT("/replication/policies/{id}", { params: { path: { id } }, body: { ...now, enabled } }));
    },
    onSuccess: (_, { enabled }) => tell.done(enabled ? words.replications.enabledDone : words.replications.deactivatedDone),
    onError: tell.failed, onSettled: renew,
  });
  const remove = useMutation({
    mutationFn: (p: Policy) => must(api.DELETE("/replication/policies/{id}", { params: { path: { id: p.id ?? 0 } } })),
    onSuccess: () => { tell.done(words.replications.deletedDone); deleted(); },
    onError: tell.failed, onSettled: renew,
  });
  const ask = (title: string, text: string, okText: string, danger: boolean, f: () => Promise<unknown>, more?: string) => modal.confirm({
    title, okText, cancelText: words.common.cancel, okButtonProps: { danger }, width: 480,
    content: <><p className="break">{text}</p>{more !== undefined && <p>{more}</p>}</>, onOk: () => f().catch(() => undefined),
  });
  return {
    replicate: (p: Policy) => ask(words.replications.replicateTitle, words.replications.replicateText(p.name ?? ""), words.replications.replicate, false, () => start.mutateAsync(p)),
    enable: (p: Policy) => setEnabled.mutate({ id: p.id ?? 0, enabled: true }),
    deactivate: (p: Policy) => ask(words.replications.deactivateTitle, words.replications.deactivateText(p.name ?? ""), words.replications.deactivate, true, () => setEnabled.mutateAsync({ id: p.id ?? 0, enabled: false })),
    remove: (p: Policy) => ask(words.replications.deleteTitle, words.replications.deleteText(p.name ?? ""), words.replications.delete, true, () => remove.mutateAsync(p), words.replications.deleteWhat),
  };
}
