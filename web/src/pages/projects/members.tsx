// The members of a project and what their roles are.
import { PlusOutlined, ReloadOutlined, UserDeleteOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, AutoComplete, Button, Form, Input, Modal, Radio, Select, Table, Typography, type TableColumnsType } from "antd";
import { useEffect, useMemo, useState } from "react";
import { api, ApiError, must, type Member, type Project } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";

/** Harbor's order: from the most rights to the fewest. */
const roles = [1, 4, 2, 3, 5];

export function MembersTab({ project, may }: { project: Project; may: (right: string) => boolean }) {
  const { words } = useTongue();
  const table = useServerTable();
  const id = project.project_id ?? 0;
  const members = useQuery(queries.members(id));
  const shown = useMemo(
    () => (members.data ?? []).filter((m) => (m.entity_name ?? "").toLowerCase().includes(table.search.toLowerCase())),
    [members.data, table.search],
  );
  const [selected, setSelected] = useState<Member[]>([]);
  const chosen = selected.filter((s) => shown.some((m) => m.id === s.id));
  const act = useActions(id, () => setSelected([]));
  const add = may("member:create") && <Button type="primary" icon={<PlusOutlined />} onClick={() => table.setAddress({ new: 1 })}>{words.members.new}</Button>;
  const columns: TableColumnsType<Member> = [
    { title: words.members.columns.name, dataIndex: "entity_name", className: "break" },
    { title: words.members.columns.type, key: "type", render: () => words.members.user },
    {
      title: words.members.columns.role, dataIndex: "role_id", render: (role: number, m) => (may("member:update")
        ? <Select style={{ minWidth: 160 }} value={role} aria-label={words.members.roleOf(m.entity_name ?? "")} onChange={(value) => act.setRole(m, value)} options={roles.map((value) => ({ value, label: words.projects.roles[value] }))} />
        : words.projects.roles[role]),
    },
  ];
  return (
    <>
      <div className="toolbar">
        {add}
        {may("member:delete") && <Button icon={<UserDeleteOutlined />} danger disabled={chosen.length === 0} onClick={() => act.remove(chosen)}>{words.members.remove}</Button>}
        <span className="toolbar-space" />
        <Input.Search className="toolbar-search" allowClear placeholder={words.members.filter} aria-label={words.members.filter} {...table.field} />
        <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void members.refetch()} />
      </div>
      {members.error !== null && <Failure error={members.error} retry={() => void members.refetch()} />}
      <Table<Member>
        rowKey={(m) => m.id ?? 0} columns={columns} dataSource={shown} loading={members.isPending} pagination={table.pagination(shown.length)} size="middle" scroll={{ x: 520 }}
        {...(may("member:delete") && {
          rowSelection: {
            selectedRowKeys: chosen.map((m) => m.id ?? 0), onChange: (_: unknown, rows: Member[]) => setSelected(rows),
            getCheckboxProps: (m: Member) => ({ "aria-label": words.common.select(m.entity_name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          },
        })}
        locale={{ emptyText: members.isSuccess ? (table.search === "" ? <Nothing title={words.members.empty} text={words.members.emptyText}>{add}</Nothing> : <Nothing title={words.members.noMatch} />) : " " }}
      />
      {table.address.has("new") && may("member:create") && <MemberDialog project={id} close={() => table.setAddress({ new: undefined })} />}
    </>
  );
}

function useActions(project: number, done: () => void) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const path = (m: Member) => ({ path: { project_name_or_id: String(project), mid: m.id ?? 0 } });
  const renew = () => {
    void client.invalidateQueries({ queryKey: ["members", project] });
    void client.invalidateQueries({ queryKey: ["rights", project] }); // they may be one's own
    void client.invalidateQueries({ queryKey: ["project", project] });
  };
  const setRole = useMutation({
    mutationFn: ({ member, role }: { member: Member; role: number }) => must(api.PUT("/projects/{project_name_or_id}/members/{mid}", { params: path(member), body: { role_id: role } })),
    onSuccess: () => tell.done(words.members.roleChanged), onError: tell.failed, onSettled: renew,
  });
  const remove = useMutation({
    mutationFn: async (list: Member[]) => {
      for (const m of list) await must(api.DELETE("/projects/{project_name_or_id}/members/{mid}", { params: path(m) }));
    },
    onSuccess: () => { tell.done(words.members.removed); done(); }, onError: tell.failed, onSettled: renew,
  });
  return {
    setRole: (member: Member, role: number) => setRole.mutate({ member, role }),
    remove: (list: Member[]) => modal.confirm({
      title: words.members.removeTitle, okText: words.members.remove, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 480,
      content: <><p className="break">{words.members.removeText(list.map((m) => m.entity_name).join(", "))}</p><p>{words.members.removeWhat}</p></>,
      onOk: () => remove.mutateAsync(list).catch(() => undefined),
    }),
  };
}

interface Fields {
  member: string;
  role: number;
}

function MemberDialog({ project, close }: { project: number; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const typed = Form.useWatch("member", form) ?? "";
  const [text, setText] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setText(typed.trim()), 200);
    return () => clearTimeout(timer);
  }, [typed]);
  const names = useQuery(queries.userNames(text));
  const tell = useTell();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: ({ member, role }: Fields) => must(api.POST("/projects/{project_name_or_id}/members", {
      params: { path: { project_name_or_id: String(project) } }, body: { role_id: role, member_user: { username: member.trim() } },
    })),
    onSuccess: () => {
      tell.done(words.members.added);
      void client.invalidateQueries({ queryKey: ["members", project] });
      close();
    },
  });
  const known = save.error instanceof ApiError ? { 404: words.members.unknown, 409: words.members.already }[save.error.status] : undefined;
  return (
    <Modal open title={words.members.new} onCancel={close} okText={words.common.ok} cancelText={words.common.cancel} onOk={() => form.submit()} confirmLoading={save.isPending} mask={{ closable: false }} width={520}>
      <Form<Fields> form={form} layout="vertical" initialValues={{ member: "", role: 2 }} onFinish={(fields) => save.mutate(fields)} onValuesChange={() => save.reset()}>
        <Form.Item name="member" label={words.members.name} extra={words.members.nameTip} rules={[{ required: true, whitespace: true, message: words.members.required }]}
          {...(known !== undefined && { validateStatus: "error" as const, help: known })}>
          <AutoComplete autoFocus options={(names.data ?? []).map((u) => ({ value: u.username ?? "" }))} showSearch={{ filterOption: false }} />
        </Form.Item>
        <Form.Item name="role" label={words.members.role}>
          <Radio.Group style={{ display: "flex", flexDirection: "column", gap: 8 }}>
            {roles.map((role) => <Radio key={role} value={role}>{words.projects.roles[role]}<Typography.Text type="secondary" className="cell-sub">{words.members.roleTips[role]}</Typography.Text></Radio>)}
          </Radio.Group>
        </Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && known === undefined && <Failure error={save.error} />}</div>
    </Modal>
  );
}
