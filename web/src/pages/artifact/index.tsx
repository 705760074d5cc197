// An artifact: its tags, where it is replicated and since when, and what it consists of.
import { DeleteOutlined, PlusOutlined, SafetyCertificateFilled, TagOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Space, Table, Tag, Typography, type TableColumnsType } from "antd";
import { useState, type ReactNode } from "react";
import { Link, useNavigate, useOutletContext, useParams } from "react-router";
import { ApiError, type Accessory, type Artifact, type ArtifactReplication, type Tag as ArtifactTag, type User } from "../../api/client";
import { queries } from "../../api/queries";
import { Copyable, shortDigest } from "../../parts/copy";
import { Crumbs } from "../../parts/crumbs";
import { Failure } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { Nothing, PageHead, Panel } from "../../parts/page";
import { useAddress } from "../../parts/paging";
import { NotFound } from "../../parts/results";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { useArtifactActions } from "../artifacts/actions";
import { LabelsDialog, TagDialog } from "../artifacts/dialogs";
import { LabelTag } from "../artifacts/label";
import { isIndex, isSigned, platformsOf, platformText, pullCommand } from "../artifacts/names";
import { artifactPath, artifactsPath, usePlace, type Place } from "../artifacts/place";
import { Reason, StandingState } from "../artifacts/standing";
import { History } from "./history";

export default function ArtifactPage() {
  const { place, missing, error, retry } = usePlace();
  if (missing) return <NotFound />;
  if (error !== null) return <Failure error={error} retry={retry} />;
  return place === undefined ? <Loading /> : <Shown place={place} />;
}

function Shown({ place }: { place: Place }) {
  const { words } = useTongue();
  const { digest = "" } = useParams();
  const artifact = useQuery(queries.artifact(place.project, place.repository, digest));
  const { data: system } = useQuery(queries.system());
  const [address, setAddress] = useAddress();
  const navigate = useNavigate();
  const act = useArtifactActions(place);
  if (artifact.error instanceof ApiError && artifact.error.status === 404) return <NotFound />;
  if (artifact.error !== null) return <Failure error={artifact.error} retry={() => void artifact.refetch()} />;
  if (artifact.data === undefined) return <Loading />;
  const a = artifact.data;
  const host = system?.registry_url ?? location.host;
  const labels = a.labels ?? [];
  return (
    <>
      <Crumbs here={shortDigest(a.digest)} to={[
        { text: words.projects.title, path: "/harbor/projects" },
        { text: place.project, path: `/harbor/projects/${place.id}/repositories` },
        { text: place.repository, path: artifactsPath(place) },
      ]} />
      <PageHead title={`${place.repository}@${shortDigest(a.digest)}`} sub={isSigned(a) ? <Tag color="success" icon={<SafetyCertificateFilled />}>{words.artifacts.signed}</Tag> : undefined}
        extra={place.may("artifact:delete") && <Button danger icon={<DeleteOutlined />} onClick={() => act.remove([a], () => void navigate(artifactsPath(place), { replace: true }))}>{words.artifacts.delete}</Button>} />
      <Section title={words.artifacts.page.overview}>
        <Facts artifact={a} host={host} />
        <Space wrap size={4}>
          {labels.map((l) => <LabelTag key={l.id} label={l} />)}
          {place.may("artifact-label:create") && <Button size="small" icon={<TagOutlined />} onClick={() => setAddress({ labels: 1 })}>{words.artifacts.labels}</Button>}
        </Space>
      </Section>
      <Section title={words.artifacts.page.tags}><Tags place={place} artifact={a} host={host} act={act} add={() => setAddress({ tag: 1 })} /></Section>
      <Section title={words.artifacts.standing.title}><Standings artifact={a} /></Section>
      {isIndex(a) && <Section title={words.artifacts.page.platforms}><Platforms place={place} artifact={a} /></Section>}
      {configOf(a).length > 0 && <Section title={words.artifacts.page.config}><Pairs of={configOf(a)} /></Section>}
      {a.addition_links?.["build_history"] !== undefined && <Section title={words.artifacts.page.history}><History place={place} digest={a.digest ?? ""} /></Section>}
      <Section title={words.artifacts.page.accessories}><Accessories place={place} list={a.accessories ?? []} /></Section>
      {Object.keys(a.annotations ?? {}).length > 0 && <Section title={words.artifacts.page.annotations}><Pairs of={Object.entries(a.annotations ?? {})} /></Section>}
      {address.has("tag") && <TagDialog place={place} artifact={a} close={() => setAddress({ tag: undefined })} />}
      {address.has("labels") && <LabelsDialog place={place} artifact={a} close={() => setAddress({ labels: undefined })} />}
    </>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return <Panel label={title}><h2 className="section-title">{title}</h2>{children}</Panel>;
}

function Facts({ artifact: a, host }: { artifact: Artifact; host: string }) {
  const { words, format } = useTongue();
  const { page } = words.artifacts;
  const attributes = (a.extra_attrs ?? {}) as { created?: unknown; author?: unknown };
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const facts: [string, ReactNode][] = [
    [page.digest, <Copyable key="v" text={a.digest ?? ""} />],
    [words.artifacts.columns.pull, <Copyable key="v" text={pullCommand(host, a, a.tags?.[0]?.name)} />],
    [page.type, words.artifacts.types[a.type ?? ""] ?? a.type],
    [page.mediaType, <span key="v" className="code">{a.manifest_media_type}</span>],
    [page.size, format.bytes(a.size ?? 0)],
    [page.os, platformsOf(a).join(", ")],
    [page.created, format.time(text(attributes.created))],
    [page.author, text(attributes.author)],
    [page.pushed, format.time(a.push_time)],
    [page.pulled, isTime(a.pull_time) ? format.time(a.pull_time) : words.artifacts.neverPulled],
  ];
  return <dl className="facts">{facts.filter(([, value]) => value !== "" && value !== undefined).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

function Tags({ place, artifact, host, act, add }: { place: Place; artifact: Artifact; host: string; act: ReturnType<typeof useArtifactActions>; add: () => void }) {
  const { words, format } = useTongue();
  const [selected, setSelected] = useState<string[]>([]);
  const tags = artifact.tags ?? [];
  const chosen = tags.map((t) => t.name ?? "").filter((name) => selected.includes(name));
  const mayRemove = place.may("tag:delete");
  const columns: TableColumnsType<ArtifactTag> = [
    { title: words.artifacts.page.name, dataIndex: "name", className: "break", sorter: (a, b) => (a.name ?? "").localeCompare(b.name ?? "", undefined, { numeric: true }) },
    { title: words.artifacts.columns.pull, key: "pull", width: 130, render: (_, t) => <Typography.Text copyable={{ text: pullCommand(host, artifact, t.name), tooltips: [words.artifacts.copyPull, words.repositories.copied] }} /> },
    { title: words.artifacts.columns.pulled, dataIndex: "pull_time", className: "nowrap", render: (t: string) => (isTime(t) ? <span title={format.time(t)}>{format.relative(t)}</span> : <Typography.Text type="secondary">{words.artifacts.neverPulled}</Typography.Text>) },
    { title: words.artifacts.columns.pushed, dataIndex: "push_time", className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
  ];
  return (
    <>
      <div className="toolbar">
        {place.may("tag:create") && <Button icon={<PlusOutlined />} onClick={add}>{words.artifacts.addTag}</Button>}
        {mayRemove && <Button danger icon={<DeleteOutlined />} disabled={chosen.length === 0} onClick={() => act.removeTags(artifact, chosen, () => setSelected([]))}>{words.artifacts.removeTag}</Button>}
      </div>
      <Table<ArtifactTag>
        rowKey={(t) => t.name ?? ""} columns={columns} dataSource={tags} size="small" scroll={{ x: 520 }} showSorterTooltip={false} pagination={tags.length > 10 ? { size: "small", responsive: true, showSizeChanger: false } : false}
        {...(mayRemove && {
          rowSelection: {
            selectedRowKeys: chosen, onChange: (keys: unknown[]) => setSelected(keys.map(String)),
            getCheckboxProps: (t: ArtifactTag) => ({ "aria-label": words.common.select(t.name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          },
        })}
        locale={{ emptyText: <Nothing title={words.artifacts.untagged} text={words.artifacts.page.noTags} /> }}
      />
    </>
  );
}

function Standings({ artifact }: { artifact: Artifact }) {
  const { words, format } = useTongue();
  const { standing } = words.artifacts;
  const admin = useOutletContext<User>().sysadmin_flag === true;
  if (artifact.replication == null) return <Typography.Paragraph type="secondary">{standing.hidden}</Typography.Paragraph>;
  const columns: TableColumnsType<ArtifactReplication> = [
    { title: standing.columns.reference, dataIndex: "reference", className: "break", render: (text: string) => (text.includes(":") ? <span className="code" title={text}>{shortDigest(text)}</span> : text) },
    {
      title: standing.columns.destination, dataIndex: "registry_name", className: "break",
      render: (name: string, n) => <>{name}<Typography.Text type="secondary" className="cell-sub">{n.dst_repository}</Typography.Text></>,
    },
    { title: standing.columns.rule, dataIndex: "policy_name", className: "break", render: (name: string, n) => (admin ? <Link to={`/harbor/replications?rule=${n.policy_id}`}>{name}</Link> : name) },
    {
      title: standing.columns.state, dataIndex: "state",
      render: (state: string, n) => (
        <>
          <StandingState state={state} />
          <div className="cell-sub" style={{ maxWidth: 420, marginTop: 4 }}><Reason of={n} /></div>
          {admin && n.execution_id !== undefined && n.execution_id !== 0 && <Link className="cell-sub" to={`/harbor/replications/${n.execution_id}/tasks`}>{standing.execution}</Link>}
        </>
      ),
    },
    { title: standing.columns.digest, dataIndex: "dst_digest", render: (d: string | undefined) => (d == null || d === "" ? "-" : <Copyable text={d}>{shortDigest(d)}</Copyable>) },
    { title: standing.columns.since, dataIndex: "since", className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
    { title: standing.columns.verified, dataIndex: "verified_time", className: "nowrap", render: (t: string) => <span title={format.time(t)}>{format.relative(t)}</span> },
  ];
  return (
    <Table<ArtifactReplication>
      rowKey={(n) => `${n.policy_id} ${n.registry_id} ${n.reference}`} columns={columns} dataSource={artifact.replication} size="small" scroll={{ x: 900 }} data-testid="standings"
      pagination={artifact.replication.length > 20 ? { size: "small", responsive: true, pageSize: 20, showSizeChanger: false } : false}
      locale={{ emptyText: <Nothing title={standing.none} text={standing.noneText} /> }}
    />
  );
}

function Platforms({ place, artifact }: { place: Place; artifact: Artifact }) {
  const { words } = useTongue();
  type Child = Artifact["references"][number];
  const columns: TableColumnsType<Child> = [
    { title: words.artifacts.columns.platform, key: "platform", render: (_, r) => platformText(r.platform) || "-" },
    {
      title: words.artifacts.page.digest, dataIndex: "child_digest",
      render: (d: string, r) => (r.child_id === undefined || r.child_id === 0
        ? <><span className="code" title={d}>{shortDigest(d)}</span> <Typography.Text type="secondary">{words.artifacts.page.notHere}</Typography.Text></>
        : <Link className="code" to={artifactPath(place, d)} title={d}>{shortDigest(d)}</Link>),
    },
  ];
  return <Table<Child> rowKey={(r) => r.child_digest ?? ""} columns={columns} dataSource={artifact.references ?? []} size="small" scroll={{ x: 360 }} pagination={false} />;
}

function Accessories({ place, list }: { place: Place; list: Accessory[] }) {
  const { words, format } = useTongue();
  const columns: TableColumnsType<Accessory> = [
    { title: words.artifacts.page.type, dataIndex: "type", className: "break", render: (type: string) => words.artifacts.accessoryTypes[type] ?? type },
    { title: words.artifacts.page.digest, dataIndex: "digest", render: (d: string) => <Link className="code" to={artifactPath(place, d)} title={d}>{shortDigest(d)}</Link> },
    { title: words.artifacts.page.size, dataIndex: "size", className: "nowrap", render: (n: number) => format.bytes(n) },
    { title: words.artifacts.page.created2, dataIndex: "creation_time", className: "nowrap", render: (t: string) => format.time(t) },
  ];
  if (list.length === 0) return <Typography.Paragraph type="secondary" style={{ margin: 0 }}>{words.artifacts.page.noAccessories}</Typography.Paragraph>;
  return <Table<Accessory> rowKey="digest" columns={columns} dataSource={list} size="small" scroll={{ x: 520 }} pagination={false} />;
}

/** What an image says about how it is run, in the words of its config. */
function configOf(a: Artifact): [string, string][] {
  const config: unknown = a.extra_attrs?.["config"];
  if (typeof config !== "object" || config === null) return [];
  return Object.entries(config).flatMap(([name, value]): [string, string][] => {
    if (value === null || value === "" || value === false) return [];
    if (Array.isArray(value)) return value.length === 0 ? [] : [[name, value.map((v) => (typeof v === "string" ? v : JSON.stringify(v))).join(name === "Env" ? "\n" : " ")]];
    if (typeof value === "object") {
      const parts = Object.entries(value as Record<string, unknown>).map(([key, v]) => (typeof v === "string" ? `${key}=${v}` : key));
      return parts.length === 0 ? [] : [[name, parts.join("\n")]];
    }
    return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
  });
}

function Pairs({ of }: { of: [string, string][] }) {
  const { words } = useTongue();
  const columns: TableColumnsType<[string, string]> = [
    { title: words.artifacts.page.key, dataIndex: 0, className: "break", width: "40%" },
    { title: words.artifacts.page.value, dataIndex: 1, className: "reason" },
  ];
  return <Table<[string, string]> rowKey={([name]) => name} columns={columns} dataSource={of} size="small" pagination={false} />;
}
