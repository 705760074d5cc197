// Administration > Robot Accounts: accounts for programs, and what they may do.
import { DeleteOutlined, EditOutlined, KeyOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Input, Table, Tag, type TableColumnsType } from "antd";
import { useState } from "react";
import { api, must, type Robot } from "../../api/client";
import { contains, queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { numberIn } from "../../parts/paging";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";
import { RobotDialog } from "./dialog";
import { isSystem } from "./rights";
import { SecretDialog, type Secret } from "./secret";

export default function RobotsPage() {
  const { words, format } = useTongue();
  const table = useServerTable();
  const { address, setAddress, search } = table;
  const robots = useQuery(queries.robots({ page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(search !== "" && { q: contains("name", search) }) }));
  const settings = useQuery(queries.settings()).data as Record<string, { value?: unknown } | undefined> | undefined;
  const [selected, setSelected] = useState<number[]>([]);
  const [secret, setSecret] = useState<Secret>();
  const shown = robots.data?.data ?? [];
  const chosen = shown.filter((r) => selected.includes(r.id ?? 0));
  const one = chosen.length === 1 ? chosen[0] : undefined;
  const edited = shown.find((r) => r.id === numberIn(address, "edit"));
  const act = useActions(() => setSelected([]), setSecret);
  const prefix = String(settings?.robot_name_prefix?.value ?? "robot$");
  const days = Number(settings?.robot_token_duration?.value ?? 30);
  const add = <Button type="primary" icon={<PlusOutlined />} onClick={() => setAddress({ new: 1 })}>{words.robots.new}</Button>;
  const columns: TableColumnsType<Robot> = [
    { title: words.robots.columns.name, dataIndex: "name", sorter: true, sortOrder: table.order("name"), className: "break" },
    { title: words.robots.columns.state, key: "state", render: (_, r) => <State robot={r} /> },
    { title: words.robots.columns.level, dataIndex: "level", render: (level: string | undefined) => words.robots.levels[level ?? ""] ?? level },
    { title: words.robots.columns.permissions, key: "permissions", className: "break", render: (_, r) => <Permissions robot={r} /> },
    { title: words.robots.columns.created, dataIndex: "creation_time", sorter: true, sortOrder: table.order("creation_time"), render: (t: string) => format.time(t) },
    { title: words.robots.columns.expires, dataIndex: "expires_at", render: (seconds: number | undefined) => seconds == null || seconds < 0 ? words.robots.never : <span title={format.time(instant(seconds))}>{format.relative(instant(seconds))}</span> },
    { title: words.robots.columns.description, dataIndex: "description", className: "break" },
  ];
  return (
    <>
      <PageHead title={words.robots.title} sub={words.robots.intro} />
      <Panel>
        <div className="toolbar">
          {add}
          <Button icon={<EditOutlined />} disabled={one === undefined} onClick={() => setAddress({ edit: one?.id })}>{words.common.edit}</Button>
          <Button disabled={one === undefined} onClick={() => one !== undefined && act.turn(one)}>{one?.disable === true ? words.robots.enable : words.robots.disable}</Button>
          <Button icon={<KeyOutlined />} disabled={one === undefined} onClick={() => one !== undefined && act.refresh(one)}>{words.robots.refresh}</Button>
          <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0} onClick={() => act.remove(chosen)}>{words.common.delete}</Button>
          <span className="toolbar-space" />
          <Input.Search className="toolbar-search" allowClear placeholder={words.robots.filter} aria-label={words.robots.filter} {...table.field} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void robots.refetch()} />
        </div>
        {robots.error !== null && <Failure error={robots.error} retry={() => void robots.refetch()} />}
        <Table<Robot>
          rowKey={(r) => r.id ?? 0} columns={columns} dataSource={shown} loading={robots.isPending} pagination={table.pagination(robots.data?.total)} onChange={table.onChange} showSorterTooltip={false} size="middle" scroll={{ x: 980 }}
          rowSelection={{
            selectedRowKeys: chosen.map((r) => r.id ?? 0), onChange: (keys) => setSelected(keys.map(Number)),
            getCheckboxProps: (r) => ({ "aria-label": words.common.select(r.name ?? "") }), getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          }}
          locale={{ emptyText: robots.isSuccess ? (search === "" ? <Nothing title={words.robots.empty} text={words.robots.emptyText}>{add}</Nothing> : <Nothing title={words.robots.noMatch} />) : " " }}
        />
      </Panel>
      {address.has("new") && <RobotDialog prefix={prefix} days={days} close={() => setAddress({ new: undefined })} made={setSecret} />}
      {edited !== undefined && <RobotDialog key={edited.id} robot={edited} prefix={prefix} days={days} close={() => setAddress({ edit: undefined })} made={setSecret} />}
      {secret !== undefined && <SecretDialog robot={secret} close={() => setSecret(undefined)} />}
    </>
  );
}

function instant(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function State({ robot }: { robot: Robot }) {
  const { words } = useTongue();
  if (robot.disable === true) return <Tag>{words.robots.disabled}</Tag>;
  if (robot.expires_at != null && robot.expires_at >= 0 && robot.expires_at * 1000 < Date.now()) return <Tag color="warning">{words.robots.expired}</Tag>;
  return <Tag color="success">{words.robots.enabled}</Tag>;
}

function Permissions({ robot }: { robot: Robot }) {
  const { words } = useTongue();
  const name = (namespace: string | undefined) => (namespace === "*" ? words.robots.everyProject : namespace);
  return robot.permissions?.map((p) => (
    <span key={`${p.kind ?? ""}/${p.namespace ?? ""}`} className="cell-sub" title={(p.access ?? []).map((a) => `${a.resource ?? ""}: ${a.action ?? ""}`).join("\n")}>
      {isSystem(p) ? words.robots.systemPart : name(p.namespace)}: {words.robots.rights(p.access?.length ?? 0)}
    </span>
  ));
}

function useActions(done: () => void, show: (secret: Secret) => void) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const settled = () => client.invalidateQueries({ queryKey: ["robots"] });
  const path = (r: Robot) => ({ path: { robot_id: r.id ?? 0 } });
  const turn = useMutation({
    mutationFn: (r: Robot) => must(api.PUT("/robots/{robot_id}", { params: path(r), body: { ...r, disable: r.disable !== true } })),
    onSuccess: () => tell.done(words.robots.updated), onError: tell.failed, onSettled: settled,
  });
  const refresh = useMutation({
    mutationFn: async (r: Robot) => ({ name: r.name ?? "", secret: (await must(api.PATCH("/robots/{robot_id}", { params: path(r), body: { secret: "" } }))).secret ?? "" }),
    onSuccess: show, onError: tell.failed, onSettled: settled,
  });
  const remove = useMutation({
    mutationFn: async (list: Robot[]) => {
      for (const r of list) await must(api.DELETE("/robots/{robot_id}", { params: path(r) }));
    },
    onSuccess: () => { tell.done(words.robots.deleted); done(); }, onError: tell.failed, onSettled: settled,
  });
  const texts = { okText: words.common.ok, cancelText: words.common.cancel, width: 480 };
  return {
    turn: (r: Robot) => turn.mutate(r),
    refresh: (r: Robot) => modal.confirm({ ...texts, title: words.robots.refreshTitle(r.name ?? ""), content: words.robots.refreshText, onOk: () => refresh.mutateAsync(r).then(() => undefined, () => undefined) }),
    remove: (list: Robot[]) => modal.confirm({
      ...texts, title: words.robots.deleteTitle, okText: words.common.delete, okButtonProps: { danger: true },
      content: <><p className="break">{words.robots.deleteText(list.map((r) => r.name).join(", "))}</p><p>{words.robots.deleteWhat}</p></>,
      onOk: () => remove.mutateAsync(list).catch(() => undefined),
    }),
  };
}
