// What running a saved rule would do, and the button that has exactly that done.
import { CaretRightOutlined, FileSearchOutlined } from "@ant-design/icons";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { App, Button, Checkbox, Space, Typography } from "antd";
import { useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { api, mustPage, mustStream, type Policy, type PlanSummary } from "../../api/client";
import { emptyPlan, readPlan, type PlanSoFar } from "../../api/plan";
import { Failure, useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import PlanView, { Actions } from "./planView";

export default function PlanTab({ policy }: { policy: Policy }) {
  const { words, format } = useTongue();
  const [bytes, setBytes] = useState(false);
  const { plan, running, error, make, forget } = useKeptPlan(policy.id ?? 0, bytes);
  const run = useRun(policy, forget);
  const kept = plan?.summary?.plan_id == null ? undefined : plan.summary;
  const idle = kept !== undefined && ["copy", "overwrite", "delete"].every((a) => (kept.actions[a] ?? 0) === 0);
  return (
    <>
      <Typography.Paragraph type="secondary" style={{ maxWidth: 760 }}>{words.plan.intro}</Typography.Paragraph>
      <div className="toolbar">
        <Button icon={<FileSearchOutlined />} type={kept === undefined ? "primary" : "default"} loading={running} onClick={make}>{plan === undefined ? words.plan.make : words.plan.again}</Button>
        <Button icon={<CaretRightOutlined />} type={kept === undefined ? "default" : "primary"} disabled={kept === undefined || idle || policy.enabled !== true} loading={run.busy} onClick={() => kept !== undefined && run.ask(kept)}>{words.plan.run}</Button>
        <Checkbox checked={bytes} onChange={(e) => setBytes(e.target.checked)}>{words.plan.countBytes}</Checkbox>
      </div>
      {error !== undefined && <Failure title={words.plan.failed} error={error} retry={make} />}
      {kept !== undefined && (
        <Space orientation="vertical" size={0} style={{ marginBottom: 8 }}>
          <Typography.Text type="secondary" data-testid="kept-plan">{words.plan.kept(kept.plan_id ?? 0, format.time(kept.expiry_time))}</Typography.Text>
          {idle && <Typography.Text>{words.plan.nothingToDo}</Typography.Text>}
        </Space>
      )}
      {plan !== undefined && <PlanView plan={plan} running={running} />}
    </>
  );
}

function useKeptPlan(id: number, bytes: boolean) {
  const [answer, setAnswer] = useState<{ plan?: PlanSoFar; running: boolean; error?: unknown }>({ running: false });
  const stop = useRef<AbortController>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const make = () => {
    stop.current?.abort();
    const mine = new AbortController();
    stop.current = mine;
    setAnswer({ plan: emptyPlan(), running: true });
    mustStream(api.POST("/replication/policies/{id}/plan", { params: { path: { id }, query: { bytes } }, parseAs: "stream", signal: mine.signal }))
      .then((body) => readPlan(body, mine.signal, (plan) => setAnswer({ plan, running: true })))
      .then(() => { if (!mine.signal.aborted) setAnswer((now) => ({ ...now, running: false })); })
      .catch((error: unknown) => { if (!mine.signal.aborted) setAnswer({ running: false, error }); });
  };
  return { ...answer, make, forget: () => setAnswer({ running: false }) };
}

function useRun(policy: Policy, done: () => void) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const start = useMutation({
    mutationFn: async (plan: number) => {
      const { location } = await mustPage(api.POST("/replication/executions", { body: { policy_id: policy.id ?? 0, plan_id: plan } }));
      return Number(location.split("/").pop());
    },
    onSuccess: (id) => {
      tell.done(<>{words.replications.started(id)} <Link to={`/harbor/replications/${id}/tasks`}>{words.replications.showExecution}</Link></>);
      done(); // it can be carried out once
    },
    onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["executions"] }),
  });
  const ask = (kept: PlanSummary) => modal.confirm({
    title: words.plan.runTitle, okText: words.plan.run, cancelText: words.common.cancel, width: 480, okButtonProps: { danger: (kept.actions.delete ?? 0) > 0 },
    content: <PlanQuestion kept={kept} />, onOk: () => start.mutateAsync(kept.plan_id ?? 0).catch(() => undefined),
  });
  return { ask, busy: start.isPending };
}

function PlanQuestion({ kept }: { kept: PlanSummary }) {
  const { words } = useTongue();
  return <><p>{words.plan.runText(kept.plan_id ?? 0)}</p><p><Actions actions={kept.actions} failed={kept.failed} /></p></>;
}
