// Administration > Users: Harbor's grid.
import { DeleteOutlined, KeyOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Input, Table, type TableColumnsType } from "antd";
import { useState } from "react";
import { useOutletContext } from "react-router";
import { api, must, type User } from "../../api/client";
import { contains, queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";
import { UserDialog } from "./dialog";
import PasswordDialog from "./password";

export default function UsersPage() {
  const { words, format } = useTongue();
  const me = useOutletContext<User>();
  const table = useServerTable();
  const { address, setAddress, search } = table;
  const users = useQuery(queries.users({ page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(search !== "" && { q: contains("username", search) }) }));
  const [selected, setSelected] = useState<User[]>([]);
  const [resetting, setResetting] = useState<User>();
  const chosen = (users.data?.data ?? []).filter((u) => selected.some((s) => s.user_id === u.user_id));
  const one = chosen.length === 1 ? chosen[0] : undefined;
  const mine = chosen.some((u) => u.user_id === me.user_id);
  const askAdmin = useAdmin();
  const askDelete = useDelete(() => setSelected([]));
  const columns: TableColumnsType<User> = [
    { title: words.users.columns.name, dataIndex: "username", sorter: true, sortOrder: table.order("username"), className: "break" },
    { title: words.users.columns.admin, dataIndex: "sysadmin_flag", render: (admin: boolean | undefined) => (admin === true ? words.common.yes : words.common.no) },
    { title: words.users.columns.email, dataIndex: "email", sorter: true, sortOrder: table.order("email"), className: "break" },
    { title: words.users.columns.fullName, dataIndex: "realname", className: "break" },
    { title: words.users.columns.created, dataIndex: "creation_time", sorter: true, sortOrder: table.order("creation_time"), render: (t: string) => format.time(t) },
  ];
  return (
    <>
      <PageHead title={words.users.title} />
      <Panel>
        <div className="toolbar">
          <Button type="primary" icon={<PlusOutlined />} onClick={() => setAddress({ new: 1 })}>{words.users.new}</Button>
          <Button disabled={one === undefined || mine} title={mine ? words.users.self : undefined} onClick={() => one !== undefined && askAdmin(one)}>{one?.sysadmin_flag === true ? words.users.revokeAdmin : words.users.setAdmin}</Button>
          <Button icon={<KeyOutlined />} disabled={one === undefined || mine} title={mine ? words.users.self : undefined} onClick={() => setResetting(one)}>{words.users.resetPassword}</Button>
          <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0 || mine} title={mine ? words.users.self : undefined} onClick={() => askDelete(chosen)}>{words.common.delete}</Button>
          <span className="toolbar-space" />
          <Input.Search className="toolbar-search" allowClear placeholder={words.users.filter} aria-label={words.users.filter} {...table.field} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void users.refetch()} />
        </div>
        {users.error !== null && <Failure error={users.error} retry={() => void users.refetch()} />}
        <Table<User>
          rowKey={(u) => u.user_id ?? 0} columns={columns} dataSource={users.data?.data ?? []} loading={users.isPending} pagination={table.pagination(users.data?.total)} onChange={table.onChange}
          showSorterTooltip={false} size="middle" scroll={{ x: 760 }}
          rowSelection={{
            selectedRowKeys: chosen.map((u) => u.user_id ?? 0), onChange: (_, rows) => setSelected(rows),
            getCheckboxProps: (u) => ({ "aria-label": words.common.select(u.username ?? "") }), getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          }}
          locale={{ emptyText: users.isSuccess ? <Nothing title={words.users.noMatch} /> : " " }}
        />
      </Panel>
      {address.has("new") && <UserDialog close={() => setAddress({ new: undefined })} />}
      {resetting !== undefined && <PasswordDialog user={resetting} close={() => setResetting(undefined)} />}
    </>
  );
}

/** Makes a user an administrator after asking, or a user like others. */
function useAdmin(): (user: User) => void {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: (u: User) => must(api.PUT("/users/{user_id}/sysadmin", { params: { path: { user_id: u.user_id ?? 0 } }, body: { sysadmin_flag: u.sysadmin_flag !== true } })),
    onSuccess: () => tell.done(words.users.updated),
    onError: tell.failed,
    onSettled: () => client.invalidateQueries({ queryKey: ["users"] }),
  });
  return (user) => {
    if (user.sysadmin_flag === true) change.mutate(user);
    else modal.confirm({ title: words.users.adminTitle(user.username ?? ""), content: words.users.adminText, okText: words.common.ok, cancelText: words.common.cancel, width: 480, onOk: () => change.mutate(user) });
  };
}

function useDelete(done: () => void): (list: User[]) => void {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: async (list: User[]) => {
      for (const u of list) await must(api.DELETE("/users/{user_id}", { params: { path: { user_id: u.user_id ?? 0 } } }));
    },
    onSuccess: () => { tell.done(words.users.deleted); done(); },
    onError: tell.failed,
    onSettled: () => client.invalidateQueries({ queryKey: ["users"] }),
  });
  return (list) => modal.confirm({
    title: words.users.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 480,
    content: <><p className="break">{words.users.deleteText(list.map((u) => u.username).join(", "))}</p><p>{words.users.deleteWhat}</p></>,
    onOk: () => remove.mutateAsync(list).catch(() => undefined),
  });
}
