// A project: its repositories, its members, and who may see it.
import { useQuery } from "@tanstack/react-query";
import { Tabs } from "antd";
import { useNavigate, useParams } from "react-router";
import { ApiError } from "../../api/client";
import { useLiveProject } from "../../api/events";
import { queries } from "../../api/queries";
import { Crumbs } from "../../parts/crumbs";
import { Failure } from "../../parts/failure";
import { Loading } from "../../parts/loading";
import { PageHead, Panel } from "../../parts/page";
import { NotFound } from "../../parts/results";
import { useTongue } from "../../words";
import { LabelsTable } from "../labels/table";
import { Access } from "./access";
import { ConfigurationTab } from "./configuration";
import { MembersTab } from "./members";
import { RepositoriesTab } from "./repositories";

export default function ProjectPage() {
  const { words } = useTongue();
  const { id = "", tab: wanted = "repositories" } = useParams();
  const tab = wanted === "summary" ? "repositories" : wanted; // links to Harbor's first tab
  const number = /^\d+$/.test(id) ? Number(id) : 0;
  const navigate = useNavigate();
  useLiveProject(number);
  const project = useQuery({ ...queries.project(number), enabled: number > 0 });
  const rights = useQuery({ ...queries.rights(number), enabled: number > 0 });
  if (number === 0) return <NotFound />;
  if (project.error instanceof ApiError && [403, 404].includes(project.error.status)) return <NotFound />;
  if (project.error !== null) return <Failure error={project.error} retry={() => void project.refetch()} />;
  if (project.data === undefined || rights.isPending) return <Loading />;
  const may = (right: string) => rights.data?.has(right) === true;
  const tabs = [
    { key: "repositories", label: words.projects.tabs.repositories, shown: true, content: <RepositoriesTab project={project.data} may={may} /> },
    { key: "members", label: words.projects.tabs.members, shown: may("member:list"), content: <MembersTab project={project.data} may={may} /> },
    { key: "labels", label: words.labels.tab, shown: may("label:list"), content: <LabelsTable project={project.data.project_id ?? 0} may={may} /> },
    { key: "configs", label: words.projects.tabs.configuration, shown: true, content: <ConfigurationTab project={project.data} may={may} /> },
  ].filter((t) => t.shown);
  const active = tabs.find((t) => t.key === tab);
  if (active === undefined) return <NotFound />;
  const role = words.projects.roles[project.data.current_user_role_id ?? 0];
  return (
    <>
      <Crumbs to={[{ text: words.projects.title, path: "/harbor/projects" }]} here={project.data.name ?? ""} />
      <PageHead title={project.data.name ?? ""} sub={<><Access open={project.data.metadata?.public === "true"} /> {role}</>} />
      <Panel>
        <Tabs activeKey={active.key} onChange={(key) => void navigate(`/harbor/projects/${number}/${key}`)} destroyOnHidden
          items={tabs.map((t) => ({ key: t.key, label: t.label, children: t.key === active.key ? t.content : null }))} />
      </Panel>
    </>
  );
}
