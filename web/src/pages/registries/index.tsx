// Administration > Registries: Harbor's grid, and why a registry is not well.
import { DeleteOutlined, EditOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Input, Table, Typography, type TableColumnsType } from "antd";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { api, must, type Policy, type Registry } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { numberIn, useAddress, usePagination } from "../../parts/paging";
import { Health } from "../../parts/status";
import { useTongue } from "../../words";
import { RegistryDialog } from "./dialog";
import { providerName, rulesOf } from "./uses";

export default function RegistriesPage() {
  const { words, format } = useTongue();
  const [address, setAddress] = useAddress();
  const registries = useQuery(queries.registries());
  const policies = useQuery(queries.policies());
  const [selected, setSelected] = useState<number[]>([]);
  const search = address.get("search") ?? "";
  const page = numberIn(address, "page") ?? 1;
  const size = numberIn(address, "page_size") ?? 15;

  const shown = useMemo(
    () => (registries.data ?? []).filter((r) => (r.name ?? "").toLowerCase().includes(search.toLowerCase())),
    [registries.data, search],
  );
  const chosen = shown.filter((r) => selected.includes(r.id ?? 0));
  const pagination = usePagination(page, size, shown.length, (p, s) => setAddress({ page: p === 1 ? undefined : p, page_size: s === 15 ? undefined : s }));
  const askDelete = useDelete(policies.data, () => setSelected([]));
  const editing = numberIn(address, "edit");
  const edited = registries.data?.find((r) => r.id === editing);

  const columns: TableColumnsType<Registry> = [
    {
      title: words.registries.columns.name, dataIndex: "name", sorter: (a, b) => (a.name ?? "").localeCompare(b.name ?? ""),
      render: (name: string, r) => <Button type="link" className="break" style={{ padding: 0, height: "auto", whiteSpace: "normal", textAlign: "start" }} onClick={() => setAddress({ edit: r.id })}>{name}</Button>,
    },
    {
      title: words.registries.columns.status, dataIndex: "status", width: 200,
      render: (status: string, r) => (
        <>
          <Health status={status} />
          <Typography.Text type="secondary" className="cell-sub" title={format.time(r.checked_time)}>{r.checked_time != null && words.registries.checked(format.relative(r.checked_time))}</Typography.Text>
          {r.status_reason != null && r.status_reason !== "" && <span className="cell-sub" style={{ marginTop: 4 }}><Said text={r.status_reason} /></span>}
        </>
      ),
    },
    { title: words.registries.columns.url, dataIndex: "url", className: "break" },
    { title: words.registries.columns.provider, dataIndex: "type", render: (type: string) => providerName(words, type) },
    { title: words.registries.columns.verify, dataIndex: "insecure", render: (insecure: boolean | undefined) => (insecure === true ? words.common.no : words.common.yes) },
    {
      title: words.registries.columns.authentication, key: "authentication", className: "break",
      render: (_, r) => r.credential?.access_key != null && r.credential.access_key !== ""
        ? <>{r.credential.access_key}<Typography.Text type="secondary" className="cell-sub">{r.credential.type}</Typography.Text></>
        : words.registries.anonymous,
    },
    { title: words.registries.columns.created, dataIndex: "creation_time", render: (t: string) => format.time(t), sorter: (a, b) => (a.creation_time ?? "").localeCompare(b.creation_time ?? "") },
    { title: words.registries.columns.description, dataIndex: "description", className: "break" },
    { title: words.registries.columns.usedBy, key: "uses", className: "break", render: (_, r) => <UsedBy rules={rulesOf(policies.data, r.id ?? 0)} /> },
  ];
  const add = <Button type="primary" icon={<PlusOutlined />} onClick={() => setAddress({ new: 1 })}>{words.registries.new}</Button>;
  return (
    <>
      <PageHead title={words.registries.title} />
      <Panel>
        <div className="toolbar">
          {add}
          <Button icon={<EditOutlined />} disabled={chosen.length !== 1} onClick={() => setAddress({ edit: chosen[0]?.id })}>{words.common.edit}</Button>
          <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0} onClick={() => askDelete(chosen)}>{words.common.delete}</Button>
          <span className="toolbar-space" />
          <Input.Search className="toolbar-search" allowClear placeholder={words.registries.filter} aria-label={words.registries.filter} defaultValue={search} onChange={(e) => setAddress({ search: e.target.value, page: undefined })} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => { void registries.refetch(); void policies.refetch(); }} />
        </div>
        {registries.error !== null && <Failure error={registries.error} retry={() => void registries.refetch()} />}
        <Table<Registry>
          rowKey={(r) => r.id ?? 0} columns={columns} dataSource={shown} loading={registries.isPending} pagination={pagination} size="middle" scroll={{ x: 1040 }}
          rowSelection={{
            selectedRowKeys: selected, onChange: (keys) => setSelected(keys.map(Number)),
            getCheckboxProps: (r) => ({ "aria-label": words.common.select(r.name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          }}
          locale={{ emptyText: registries.isSuccess ? (search === "" ? <Nothing title={words.registries.empty} text={words.registries.emptyText}>{add}</Nothing> : <Nothing title={words.registries.noMatch} />) : " " }}
        />
      </Panel>
      {address.has("new") && <RegistryDialog close={() => setAddress({ new: undefined })} />}
      {edited !== undefined && <RegistryDialog key={editing} registry={edited} close={() => setAddress({ edit: undefined })} />}
    </>
  );
}

function UsedBy({ rules }: { rules: Policy[] }) {
  const { words } = useTongue();
  if (rules.length === 0) return <Typography.Text type="secondary">{words.registries.usedByNone}</Typography.Text>;
  const few = rules.slice(0, 3);
  return (
    <>
      {few.map((p) => <Link key={p.id} to={`/harbor/replications?rule=${p.id}`} style={{ display: "block" }}>{p.name}</Link>)}
      {rules.length > few.length && <Typography.Text type="secondary">{words.common.moreOf(rules.length - few.length)}</Typography.Text>}
    </>
  );
}

/** Asks, and deletes what no rule uses. */
function useDelete(policies: Policy[] | undefined, done: () => void): (list: Registry[]) => void {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: async (list: Registry[]) => {
      for (const { id = 0 } of list) await must(api.DELETE("/registries/{id}", { params: { path: { id } } }));
    },
    onSuccess: () => { tell.done(words.registries.deleted); done(); },
    onError: tell.failed,
    onSettled: () => client.invalidateQueries({ queryKey: ["registries"] }),
  });
  return (list) => {
    const used = list.map((r) => ({ name: r.name ?? "", rules: rulesOf(policies, r.id ?? 0) })).filter((u) => u.rules.length > 0);
    modal.confirm({
      title: words.registries.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true, disabled: used.length > 0 }, width: 480,
      content: used.length > 0
        ? used.map((u) => <Alert key={u.name} type="warning" showIcon style={{ marginTop: 8 }} title={words.registries.inUse(u.name, u.rules.map((p) => p.name).join(", "))} />)
        : <><p className="break">{words.registries.deleteText(list.map((r) => r.name).join(", "))}</p><p>{words.registries.deleteWhat}</p></>,
      onOk: () => remove.mutateAsync(list).catch(() => undefined),
    });
  };
}
