// Projects: Harbor's grid. Everybody sees what is public and what they are members of.
import { DeleteOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Input, Select, Table, type TableColumnsType } from "antd";
import { useState } from "react";
import { Link, useOutletContext } from "react-router";
import { api, ApiError, must, type Project, type User } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";
import { Access } from "./access";
import { ProjectDialog } from "./dialog";

export default function ProjectsPage() {
  const { words, format } = useTongue();
  const user = useOutletContext<User>();
  const table = useServerTable();
  const { address, setAddress, search } = table;
  const access = address.get("access") ?? "";
  const projects = useQuery(queries.projects({
    page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(search !== "" && { name: search }), ...(access !== "" && { public: access === "public" }),
  }));
  const system = useQuery(queries.system());
  const [selected, setSelected] = useState<Project[]>([]);
  const chosen = selected.filter((s) => projects.data?.data.some((p) => p.project_id === s.project_id));
  const remove = useDelete(() => setSelected([]));
  const admin = user.sysadmin_flag === true;
  const mayCreate = admin || system.data?.project_creation_restriction === "everyone";
  const add = mayCreate && <Button type="primary" icon={<PlusOutlined />} onClick={() => setAddress({ new: 1 })}>{words.projects.new}</Button>;
  const columns: TableColumnsType<Project> = [
    { title: words.projects.columns.name, dataIndex: "name", sorter: true, sortOrder: table.order("name"), className: "break", render: (name: string, p) => <Link to={`/harbor/projects/${p.project_id}/repositories`}>{name}</Link> },
    { title: words.projects.columns.access, key: "access", render: (_, p) => <Access open={p.metadata?.public === "true"} /> },
    { title: words.projects.columns.role, dataIndex: "current_user_role_id", render: (role: number | undefined) => words.projects.roles[role ?? 0] ?? "" },
    { title: words.projects.columns.type, key: "type", render: () => words.projects.type },
    { title: words.projects.columns.repositories, dataIndex: "repo_count", render: (n: number | undefined) => format.number(n ?? 0) },
    { title: words.projects.columns.created, dataIndex: "creation_time", sorter: true, sortOrder: table.order("creation_time"), render: (t: string) => format.time(t) },
  ];
  if (projects.error instanceof ApiError && projects.error.status === 501) return <Elsewhere error={projects.error} />;
  const narrowed = search !== "" || access !== "";
  return (
    <>
      <PageHead title={words.projects.title} />
      <Panel>
        <div className="toolbar">
          {add}
          <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0 || !chosen.every((p) => p.current_user_role_id === 1)} onClick={() => void remove(chosen)}>{words.common.delete}</Button>
          <span className="toolbar-space" />
          <Select style={{ width: 150 }} value={access} aria-label={words.projects.access} onChange={(value) => setAddress({ access: value, page: undefined })}
            options={[{ value: "", label: words.projects.all }, { value: "private", label: words.projects.private }, { value: "public", label: words.projects.public }]} />
          <Input.Search className="toolbar-search" allowClear placeholder={words.projects.filter} aria-label={words.projects.filter} {...table.field} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void projects.refetch()} />
        </div>
        {projects.error !== null && <Failure error={projects.error} retry={() => void projects.refetch()} />}
        <Table<Project>
          rowKey={(p) => p.project_id ?? 0} columns={columns} dataSource={projects.data?.data ?? []} loading={projects.isPending} pagination={table.pagination(projects.data?.total)} onChange={table.onChange}
          showSorterTooltip={false} size="middle" scroll={{ x: 900 }}
          rowSelection={{
            selectedRowKeys: chosen.map((p) => p.project_id ?? 0), onChange: (_, rows) => setSelected(rows),
            getCheckboxProps: (p) => ({ "aria-label": words.common.select(p.name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          }}
          locale={{ emptyText: projects.isSuccess ? (narrowed ? <Nothing title={words.projects.noMatch} /> : <Nothing title={words.projects.empty} text={mayCreate ? words.projects.emptyText : words.projects.emptyMember}>{add}</Nothing>) : " " }}
        />
      </Panel>
      {address.has("new") && <ProjectDialog close={() => setAddress({ new: undefined })} />}
    </>
  );
}

function Elsewhere({ error }: { error: ApiError }) {
  const { words } = useTongue();
  return (
    <>
      <PageHead title={words.projects.title} />
      <Panel><Nothing title={words.projects.elsewhere} text={words.projects.elsewhereText}><Said text={error.message} /></Nothing></Panel>
    </>
  );
}

/** Asks what stands in the way, says so or asks whether to delete, and deletes. */
function useDelete(done: () => void): (list: Project[]) => Promise<void> {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const path = (p: Project) => ({ path: { project_name_or_id: String(p.project_id) } });
  const remove = useMutation({
    mutationFn: async (list: Project[]) => {
      for (const p of list) await must(api.DELETE("/projects/{project_name_or_id}", { params: path(p) }));
    },
    onSuccess: () => { tell.done(words.projects.deleted); done(); },
    onError: tell.failed,
    onSettled: () => client.invalidateQueries({ queryKey: ["projects"] }),
  });
  return async (list) => {
    const blocked: string[] = [];
    try {
      for (const p of list) {
        const name = p.name ?? "";
        const answer = await must(api.GET("/projects/{project_name_or_id}/_deletable", { params: path(p) }));
        if (answer.deletable) continue;
        const { repo_count } = await must(api.GET("/projects/{project_name_or_id}", { params: path(p) }));
        blocked.push((repo_count ?? 0) > 0 ? words.projects.inTheWay(name, repo_count ?? 0) : words.projects.cannotDelete(name, answer.message ?? ""));
      }
    } catch (error) {
      tell.failed(error);
      return;
    }
    modal.confirm({
      title: words.projects.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true, disabled: blocked.length > 0 }, width: 480,
      content: blocked.length > 0
        ? blocked.map((text) => <Alert key={text} type="warning" showIcon style={{ marginTop: 8 }} title={text} />)
        : <><p className="break">{words.projects.deleteText(list.map((p) => p.name).join(", "))}</p><p>{words.projects.deleteWhat}</p></>,
      onOk: () => remove.mutateAsync(list).catch(() => undefined),
    });
  };
}
