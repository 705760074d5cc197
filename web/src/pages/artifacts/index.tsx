// The artifacts of a repository, and where each is replicated.
import { DownOutlined, EditOutlined, ReloadOutlined, SafetyCertificateFilled } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Dropdown, Form, Grid, Input, Modal, Select, Space, Table, Tag, Typography, type TableColumnsType } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { api, ApiError, must, type Artifact, type Repository } from "../../api/client";
import { contains, queries } from "../../api/queries";
import { shortDigest } from "../../parts/copy";
import { Crumbs } from "../../parts/crumbs";
import { Failure, useTell } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { NotFound } from "../../parts/results";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { useArtifactActions, useRenew } from "./actions";
import { LabelsDialog, TagDialog, useLabels } from "./dialogs";
import { LabelTag } from "./label";
import { isSigned, platformsOf, pullCommand } from "./names";
import { artifactPath, fullName, usePlace, type Place } from "./place";
import { StandingCell } from "./standing";

export default function ArtifactsPage() {
  const { place, missing, error, retry } = usePlace();
  if (missing) return <NotFound />;
  if (error !== null) return <Failure error={error} retry={retry} />;
  return place === undefined ? <Loading /> : <Artifacts key={fullName(place)} place={place} />;
}

function Artifacts({ place }: { place: Place }) {
  const { words } = useTongue();
  // Who is no member of a public project may look at artifacts, and not at what is said of the repository.
  const repository = useQuery({ ...queries.repository(place.project, place.repository), enabled: place.may("repository:read") });
  const table = useServerTable();
  const { address, setAddress, search } = table;
  const [tagged, type, label] = [address.get("tagged") ?? "", address.get("type") ?? "", address.get("label") ?? ""];
  const conditions = [
    search !== "" ? contains("tags", search) : tagged !== "" ? `tags=${tagged}` : "",
    type !== "" ? `type=${type}` : "", label !== "" ? `labels=(${label})` : "",
  ].filter((c) => c !== "");
  const artifacts = useQuery(queries.artifacts(place.project, place.repository, {
    page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(conditions.length > 0 && { q: conditions.join(",") }),
  }));
  const list = artifacts.data?.data ?? [];
  const [selected, setSelected] = useState<string[]>([]);
  const chosen = list.filter((a) => selected.includes(a.digest ?? ""));
  const one = chosen.length === 1 ? chosen[0] : undefined;
  const act = useArtifactActions(place);
  const columns = useColumns(place, table.order);
  const find = (name: string) => list.find((a) => a.digest === address.get(name));
  const [tagging, labelling] = [find("tag"), find("labels")];
  const menu = {
    items: [
      { key: "digest", label: words.artifacts.copyDigest, disabled: one === undefined, onClick: () => one !== undefined && void act.copyDigest(one) },
      { key: "labels", label: words.artifacts.labels, disabled: one === undefined || !place.may("artifact-label:create"), onClick: () => setAddress({ labels: one?.digest }) },
      { key: "tag", label: words.artifacts.addTag, disabled: one === undefined || !place.may("tag:create"), onClick: () => setAddress({ tag: one?.digest }) },
      { type: "divider" as const },
      { key: "delete", label: words.artifacts.delete, danger: true, disabled: !place.may("artifact:delete"), onClick: () => act.remove(chosen, () => setSelected([])) },
    ],
  };
  if (repository.error instanceof ApiError && repository.error.status === 404 && list.length === 0) return <NotFound />;
  return (
    <>
      <Crumbs to={[{ text: words.projects.title, path: "/harbor/projects" }, { text: place.project, path: `/harbor/projects/${place.id}/repositories` }]} here={place.repository} />
      <PageHead title={place.repository} sub={repository.data !== undefined && <Description place={place} repository={repository.data} />} />
      <Panel>
        <div className="toolbar">
          <Dropdown menu={menu} disabled={chosen.length === 0} trigger={["click"]}><Button>{words.common.actions} <DownOutlined style={{ fontSize: 10 }} /></Button></Dropdown>
          <span className="toolbar-space" />
          <Filters place={place} tagged={search !== "" ? "" : tagged} type={type} label={label} change={(c) => setAddress({ ...c, page: undefined })} />
          <Input.Search className="toolbar-search" allowClear placeholder={words.artifacts.filter} aria-label={words.artifacts.filter} {...table.field} />
          <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void artifacts.refetch()} />
        </div>
        {artifacts.error !== null && <Failure error={artifacts.error} retry={() => void artifacts.refetch()} />}
        <Table<Artifact>
          rowKey={(a) => a.digest ?? ""} columns={columns} dataSource={list} loading={artifacts.isPending} pagination={table.pagination(artifacts.data?.total)} onChange={table.onChange}
          showSorterTooltip={false} size="middle" scroll={{ x: 1100 }}
          rowSelection={{
            selectedRowKeys: chosen.map((a) => a.digest ?? ""), onChange: (keys) => setSelected(keys.map(String)),
            getCheckboxProps: (a) => ({ "aria-label": words.common.select(shortDigest(a.digest)) }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          }}
          locale={{ emptyText: artifacts.isSuccess ? <Nothing title={conditions.length > 0 ? words.artifacts.noMatch : words.artifacts.empty} /> : " " }}
        />
      </Panel>
      {tagging !== undefined && <TagDialog place={place} artifact={tagging} close={() => setAddress({ tag: undefined })} />}
      {labelling !== undefined && <LabelsDialog place={place} artifact={labelling} close={() => setAddress({ labels: undefined })} />}
    </>
  );
}

function Filters({ place, tagged, type, label, change }: { place: Place; tagged: string; type: string; label: string; change: (c: Record<string, string>) => void }) {
  const { words } = useTongue();
  const labels = useLabels(place);
  return (
    <>
      {labels.length > 0 && (
        <Select style={{ minWidth: 140 }} value={label} aria-label={words.artifacts.columns.labels} onChange={(value) => change({ label: value })} popupMatchSelectWidth={false}
          options={[{ value: "", label: words.artifacts.anyLabel }, ...labels.map((l) => ({ value: String(l.id), label: l.name }))]} />
      )}
      <Select style={{ minWidth: 130 }} value={type} aria-label={words.artifacts.page.type} onChange={(value) => change({ type: value })}
        options={[{ value: "", label: words.artifacts.allTypes }, ...Object.entries(words.artifacts.types).map(([value, text]) => ({ value, label: text }))]} />
      <Select style={{ minWidth: 170 }} value={tagged === "" ? "all" : tagged} aria-label={words.artifacts.taggedLabel} onChange={(value) => change({ tagged: value === "all" ? "" : value })}
        options={["all", "*", "nil"].map((value) => ({ value, label: words.artifacts.tagged[value] }))} />
    </>
  );
}

const shownTags = 6;

function useColumns(place: Place, order: (field: string) => "ascend" | "descend" | null): TableColumnsType<Artifact> {
  const { words, format } = useTongue();
  const { data: system } = useQuery(queries.system());
  const host = system?.registry_url ?? location.host;
  const narrow = Grid.useBreakpoint().md === false;
  const replication: TableColumnsType<Artifact> = [
    { title: words.artifacts.columns.replication, dataIndex: "replication", width: 230, render: (list: Artifact["replication"]) => <StandingCell list={list} /> },
  ];
  return [
    {
      title: words.artifacts.columns.artifact, dataIndex: "digest", width: narrow ? 220 : 150,
      render: (digest: string, a) => (
        <>
          <Link className="code" to={artifactPath(place, digest)} title={digest}>{shortDigest(digest)}</Link>
          <Typography.Text type="secondary" className="cell-sub">{words.artifacts.types[a.type ?? ""] ?? a.type}</Typography.Text>
          {platformsOf(a).map((platform) => <Typography.Text key={platform} type="secondary" className="cell-sub">{platform}</Typography.Text>)}
          {narrow && <div style={{ marginTop: 6 }}><StandingCell list={a.replication} /></div>}
        </>
      ),
    },
    {
      title: words.artifacts.columns.tags, dataIndex: "tags", className: "break", width: 160,
      render: (tags: Artifact["tags"] | null) => (tags == null || tags.length === 0 ? <Typography.Text type="secondary">{words.artifacts.untagged}</Typography.Text> : (
        <Space wrap size={4}>
          {tags.slice(0, shownTags).map((t) => <Tag key={t.name} className="tag">{t.name}</Tag>)}
          {tags.length > shownTags && <Typography.Text type="secondary" className="nowrap">{words.common.moreOf(tags.length - shownTags)}</Typography.Text>}
        </Space>
      )),
    },
    { title: words.artifacts.columns.pull, key: "pull", width: 96, render: (_, a) => <Typography.Text copyable={{ text: pullCommand(host, a, a.tags?.[0]?.name), tooltips: [words.artifacts.copyPull, words.repositories.copied] }} /> },
    ...(narrow ? [] : replication),
    { title: words.artifacts.columns.size, dataIndex: "size", sorter: true, sortOrder: order("size"), className: "nowrap", render: (n: number | undefined) => format.bytes(n ?? 0) },
    { title: words.artifacts.columns.labels, dataIndex: "labels", className: "break", render: (labels: Artifact["labels"] | null) => <Space wrap size={4}>{(labels ?? []).map((l) => <LabelTag key={l.id} label={l} />)}</Space> },
    {
      title: words.artifacts.columns.accessories, key: "accessories",
      render: (_, a) => (a.accessories ?? []).length > 0 && (
        <>
          {isSigned(a) && <Tag color="success" icon={<SafetyCertificateFilled />}>{words.artifacts.signed}</Tag>}
          <Typography.Text type="secondary" className="cell-sub">{words.artifacts.accessories(a.accessories.length)}</Typography.Text>
        </>
      ),
    },
    { title: words.artifacts.columns.pushed, dataIndex: "push_time", sorter: true, sortOrder: order("push_time"), className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
    { title: words.artifacts.columns.pulled, dataIndex: "pull_time", className: "nowrap", render: (t: string) => (isTime(t) ? <span title={format.time(t)}>{format.relative(t)}</span> : <Typography.Text type="secondary">{words.artifacts.neverPulled}</Typography.Text>) },
  ];
}

/** What a repository is for, and a button to say it. */
function Description({ place, repository }: { place: Place; repository: Repository }) {
  const { words } = useTongue();
  const [open, setOpen] = useState(false);
  const [form] = Form.useForm<{ description: string }>();
  const tell = useTell();
  const renew = useRenew();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: ({ description }: { description: string }) => must(api.PUT("/projects/{project_name}/repositories/{repository_name}", {
      params: { path: { project_name: place.project, repository_name: place.repository } }, body: { description },
    })),
    onSuccess: async () => {
      tell.done(words.repositories.described);
      void renew();
      await client.invalidateQueries({ queryKey: ["repository", place.project, place.repository] });
      setOpen(false);
    },
  });
  const text = repository.description ?? "";
  return (
    <>
      <span className="break">{text === "" ? words.repositories.noDescription : text}</span>
      {place.may("repository:update") && <Button type="text" size="small" icon={<EditOutlined />} aria-label={words.repositories.describe} title={words.repositories.describe} onClick={() => { save.reset(); setOpen(true); }} />}
      <Modal open={open} title={words.repositories.describe} onCancel={() => setOpen(false)} okText={words.common.save} cancelText={words.common.cancel} onOk={() => form.submit()} confirmLoading={save.isPending} mask={{ closable: false }} destroyOnHidden width={560}>
        <Form form={form} layout="vertical" initialValues={{ description: text }} preserve={false} onFinish={(fields) => save.mutate(fields)}>
          <Form.Item name="description" label={words.repositories.description}><Input.TextArea autoFocus rows={3} className="growing" /></Form.Item>
        </Form>
        <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
      </Modal>
    </>
  );
}
