// The repositories of a project.
import { CodeOutlined, DeleteOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Input, Modal, Table, Typography, type TableColumnsType } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { api, must, type Project, type Repository } from "../../api/client";
import { contains, queries } from "../../api/queries";
import { repositoryPath } from "../../parts/addresses";
import { Command } from "../../parts/copy";
import { Failure, useTell } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";

export function RepositoriesTab({ project, may }: { project: Project; may: (right: string) => boolean }) {
  const { words, format } = useTongue();
  const table = useServerTable();
  const name = project.name ?? "";
  const repositories = useQuery(queries.repositories(name, {
    page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(table.search !== "" && { q: contains("name", table.search) }),
  }));
  const [selected, setSelected] = useState<Repository[]>([]);
  const chosen = selected.filter((s) => repositories.data?.data.some((r) => r.id === s.id));
  const remove = useDelete(project, () => setSelected([]));
  const mayPush = may("repository:push");
  const columns: TableColumnsType<Repository> = [
    { title: words.repositories.columns.name, dataIndex: "name", sorter: true, sortOrder: table.order("name"), className: "break", render: (full: string) => <Link to={repositoryPath(project.project_id, full)}>{full}</Link> },
    { title: words.repositories.columns.artifacts, dataIndex: "artifact_count", render: (n: number) => format.number(n) },
    { title: words.repositories.columns.pulls, dataIndex: "pull_count", sorter: true, sortOrder: table.order("pull_count"), render: (n: number) => format.number(n) },
    { title: words.repositories.columns.modified, dataIndex: "update_time", sorter: true, sortOrder: table.order("update_time"), className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
    { title: words.repositories.columns.description, dataIndex: "description", className: "break", ellipsis: true },
  ];
  return (
    <>
      <div className="toolbar">
        {mayPush && <Button icon={<CodeOutlined />} onClick={() => table.setAddress({ push: 1 })}>{words.repositories.push}</Button>}
        {may("repository:delete") && <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0} onClick={() => remove(chosen)}>{words.common.delete}</Button>}
        <span className="toolbar-space" />
        <Input.Search className="toolbar-search" allowClear placeholder={words.repositories.filter} aria-label={words.repositories.filter} {...table.field} />
        <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void repositories.refetch()} />
      </div>
      {repositories.error !== null && <Failure error={repositories.error} retry={() => void repositories.refetch()} />}
      <Table<Repository>
        rowKey={(r) => r.id ?? 0} columns={columns} dataSource={repositories.data?.data ?? []} loading={repositories.isPending} pagination={table.pagination(repositories.data?.total)} onChange={table.onChange}
        showSorterTooltip={false} size="middle" scroll={{ x: 800 }}
        {...(may("repository:delete") && {
          rowSelection: {
            selectedRowKeys: chosen.map((r) => r.id ?? 0), onChange: (_: unknown, rows: Repository[]) => setSelected(rows),
            getCheckboxProps: (r: Repository) => ({ "aria-label": words.common.select(r.name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          },
        })}
        locale={{
          emptyText: !repositories.isSuccess ? " " : table.search !== "" ? <Nothing title={words.repositories.noMatch} />
            : <Nothing title={words.repositories.empty} text={words.repositories.emptyText}><PushCommands project={name} short /></Nothing>,
        }}
      />
      <Modal open={table.address.has("push")} title={words.repositories.pushTitle} footer={null} onCancel={() => table.setAddress({ push: undefined })} width={680} destroyOnHidden><PushCommands project={name} /></Modal>
    </>
  );
}

function PushCommands({ project, short = false }: { project: string; short?: boolean }) {
  const { words } = useTongue();
  const { data: system } = useQuery(queries.system());
  const host = system?.registry_url ?? location.host;
  const { source, target, chart, file } = words.repositories.placeholders;
  const image = `${host}/${project}/${target}`;
  return (
    <div style={{ textAlign: "start", maxWidth: 620, margin: "0 auto" }}>
      {!short && <><Typography.Text>{words.repositories.pushLogin}</Typography.Text><Command text={`docker login ${host}`} /></>}
      <Typography.Text>{words.repositories.pushTag}</Typography.Text><Command text={`docker tag ${source} ${image}`} />
      <Typography.Text>{words.repositories.pushPush}</Typography.Text><Command text={`docker push ${image}`} />
      {!short && (
        <>
          <Typography.Text>{words.repositories.pushChart}</Typography.Text><Command text={`helm push ${chart} oci://${host}/${project}`} />
          <Typography.Text>{words.repositories.pushAny}</Typography.Text><Command text={`oras push ${image} ${file}`} />
        </>
      )}
    </div>
  );
}

function useDelete(project: Project, done: () => void): (list: Repository[]) => void {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: async (list: Repository[]) => {
      for (const { name = "" } of list) {
        await must(api.DELETE("/projects/{project_name}/repositories/{repository_name}", {
          params: { path: { project_name: project.name ?? "", repository_name: name.slice(name.indexOf("/") + 1) } },
        }));
      }
    },
    onSuccess: () => { tell.done(words.repositories.deleted); done(); },
    onError: tell.failed,
    onSettled: () => {
      for (const key of ["repositories", "project", "projects"]) void client.invalidateQueries({ queryKey: [key] });
    },
  });
  return (list) => modal.confirm({
    title: words.repositories.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 480,
    content: (
      <>
        <p className="break">{words.repositories.deleteText(list.map((r) => r.name).join(", "))}</p>
        <p>{words.repositories.deleteWhat(list.reduce((sum, r) => sum + (r.artifact_count ?? 0), 0))}</p>
        <p>{words.repositories.deleteElsewhere}</p>
      </>
    ),
    onOk: () => remove.mutateAsync(list).catch(() => undefined),
  });
}
