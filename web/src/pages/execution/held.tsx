// An execution that waits until somebody confirms the deletions that it lists.
import { CheckOutlined, DeleteOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Space, Typography } from "antd";
import { api, must, type Execution } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, Said, useTell } from "../../parts/failure";
import { useTongue } from "../../words";

/** What is to be deleted in one repository at one destination. */
interface Place {
  repository: string;
  registry: string;
  references: string[];
}

const tagsShown = 20; // of a repository
const tasksRead = 100;

export function Held({ execution: e }: { execution: Execution }) {
  const { words } = useTongue();
  const { places, rest, error } = usePlaces(e);
  const { release, discard, busy } = useDecision(e);
  const list = <Deletions places={places} rest={rest} />;
  return (
    <Alert type="warning" showIcon data-testid="held" title={words.held.title}
      description={
        <>
          <p style={{ marginTop: 4 }}><Said text={e.hold ?? ""} /></p>
          {error !== null ? <Failure error={error} /> : list}
          <Space wrap style={{ marginTop: 8 }}>
            <Button icon={<CheckOutlined />} loading={busy} onClick={() => discard(list)}>{words.held.discard}</Button>
            {/* Nothing is deleted before it is shown what. */}
            <Button danger icon={<DeleteOutlined />} loading={busy} disabled={places.length === 0} onClick={() => release(list)}>{words.held.release}</Button>
          </Space>
        </>
      } />
  );
}

function usePlaces(e: Execution): { places: Place[]; rest: number; error: Error | null } {
  const { words } = useTongue();
  const tasks = useQuery(queries.tasks(e.id ?? 0, { page: 1, page_size: tasksRead }));
  const registries = useQuery(queries.registries());
  const name = (id: number | undefined) => (id === undefined || id === 0 ? words.common.home : registries.data?.find((r) => r.id === id)?.name ?? String(id));
  const places = (tasks.data?.data ?? []).map((t) => ({
    repository: (t.dst_resource ?? "").replace(/ \[\d+ item\(s\) in total\]$/, ""), registry: name(t.dest_registry_id),
    references: (t.items ?? []).map((i) => i.reference),
  }));
  return { places, rest: Math.max(0, (tasks.data?.total ?? 0) - places.length), error: tasks.error };
}

function Deletions({ places, rest }: { places: Place[]; rest: number }) {
  const { words } = useTongue();
  const total = places.reduce((sum, p) => sum + p.references.length, 0);
  return (
    <div style={{ maxHeight: 260, overflow: "auto" }} tabIndex={0} role="group" aria-label={words.held.listed(total, places.length)}>
      <Typography.Text strong>{words.held.listed(total, places.length)}</Typography.Text>
      <ul style={{ margin: "4px 0", paddingInlineStart: 20 }}>
        {places.map((p) => (
          <li key={`${p.registry} ${p.repository}`} className="break">
            {words.held.place(p.repository, p.registry)}: <span className="code">{p.references.slice(0, tagsShown).join(", ")}</span>
            {p.references.length > tagsShown && ` ${words.held.moreTags(p.references.length - tagsShown)}`}
          </li>
        ))}
        {rest > 0 && <li>{words.held.moreRepositories(rest)}</li>}
      </ul>
    </div>
  );
}

function useDecision(e: Execution) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const id = e.id ?? 0;
  const renew = () => {
    for (const key of ["executions", "execution", "tasks", "drift"]) void client.invalidateQueries({ queryKey: [key] });
  };
  const release = useMutation({
    mutationFn: () => must(api.POST("/replication/executions/{id}/release", { params: { path: { id } } })),
    onSuccess: ({ tasks }) => tell.done(words.held.released(tasks)), onError: tell.failed, onSettled: renew,
  });
  const discard = useMutation({
    mutationFn: () => must(api.PUT("/replication/executions/{id}", { params: { path: { id } } })),
    onSuccess: () => tell.done(words.held.discarded), onError: tell.failed, onSettled: renew,
  });
  const ask = (title: string, text: string, okText: string, danger: boolean, list: React.ReactNode, f: () => Promise<unknown>) => modal.confirm({
    title, okText, cancelText: words.common.cancel, okButtonProps: { danger }, width: 560, content: <><p>{text}</p>{list}</>, onOk: () => f().catch(() => undefined),
  });
  return {
    busy: release.isPending || discard.isPending,
    release: (list: React.ReactNode) => ask(words.held.releaseTitle, words.held.releaseText, words.held.releaseDo, true, list, () => release.mutateAsync()),
    discard: (list: React.ReactNode) => ask(words.held.discardTitle, words.held.discardText, words.held.discard, false, list, () => discard.mutateAsync()),
  };
}
