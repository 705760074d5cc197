// Who may see a project.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { App, Switch, Typography } from "antd";
import { api, must, type Project } from "../../api/client";
import { useTell } from "../../parts/failure";
import { useTongue } from "../../words";

export function ConfigurationTab({ project, may }: { project: Project; may: (right: string) => boolean }) {
  const { words, format } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const open = project.metadata?.public === "true";
  const change = useMutation({
    mutationFn: (to: boolean) => must(api.PUT("/projects/{project_name_or_id}", {
      params: { path: { project_name_or_id: String(project.project_id) } }, body: { metadata: { public: String(to) } },
    })),
    onSuccess: () => tell.done(words.projects.changed),
    onError: tell.failed,
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["project", project.project_id] });
      void client.invalidateQueries({ queryKey: ["projects"] });
    },
  });
  const ask = (to: boolean) => modal.confirm({
    title: to ? words.projects.makePublic : words.projects.makePrivate, okText: words.common.ok, cancelText: words.common.cancel, width: 480,
    content: <p className="break">{(to ? words.projects.makePublicText : words.projects.makePrivateText)(project.name ?? "")}</p>,
    onOk: () => change.mutateAsync(to).catch(() => undefined),
  });
  return (
    <>
      <dl className="facts">
        <div><dt>{words.projects.owner}</dt><dd>{project.owner_name === undefined || project.owner_name === "" ? "-" : project.owner_name}</dd></div>
        <div><dt>{words.projects.columns.created}</dt><dd>{format.time(project.creation_time)}</dd></div>
      </dl>
      <label style={{ display: "flex", gap: 12, alignItems: "center" }}>
        <Switch checked={open} disabled={!may("project:update")} loading={change.isPending} onChange={ask} aria-label={words.projects.public} />
        <span>{words.projects.public}</span>
      </label>
      <Typography.Paragraph type="secondary" style={{ marginTop: 8 }}>{words.projects.publicTip}{!may("project:update") && ` ${words.projects.onlyAdmin}`}</Typography.Paragraph>
    </>
  );
}
