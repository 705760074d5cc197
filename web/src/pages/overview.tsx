// Overview: is everything where it should be, and if not, which button helps?
import { CheckCircleFilled, ClockCircleOutlined, CloseCircleFilled, ExclamationCircleFilled, MinusCircleOutlined, PauseCircleFilled, QuestionCircleOutlined, SyncOutlined } from "@ant-design/icons";
import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Grid, Table, Tag, Typography, type TableColumnsType } from "antd";
import type { ReactNode } from "react";
import { Link, useNavigate } from "react-router";
import { api, must } from "../api/client";
import { queries } from "../api/queries";
import { Failure, Said, useTell } from "../parts/failure";
import { Nothing, PageHead, Panel } from "../parts/page";
import { useTongue } from "../words";
import { isTime } from "../words/format";
import { ActivityChart } from "./activityChart";
import { standings, type Standing, type StandingState } from "./standing";

export default function OverviewPage() {
  const { words } = useTongue();
  const policies = useQuery(queries.policies());
  const registries = useQuery(queries.registries());
  const rules = policies.data ?? [];
  const drifts = useQueries({ queries: rules.map((p) => queries.drift(p.id ?? 0, { page: 1, page_size: 1 })) });
  const latest = useQueries({ queries: rules.map((p) => queries.executions({ policy_id: p.id ?? 0, page: 1, page_size: 1 })) });
  const activity = useQuery(queries.activity());
  const rows = rules.flatMap((p, i) => standings(p, drifts[i]?.data?.data, latest[i]?.data?.data[0], registries.data ?? [], activity.data?.destinations ?? []));
  rows.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (a.oldest ?? "~").localeCompare(b.oldest ?? "~") || (a.policy.name ?? "").localeCompare(b.policy.name ?? ""));
  const loaded = policies.isSuccess && registries.isSuccess && activity.isSuccess && drifts.every((d) => !d.isPending) && latest.every((l) => !l.isPending);
  const wide = Grid.useBreakpoint().md ?? true;
  const columns = useColumns(wide);
  const bad = rows.filter((r) => r.state === "failing" || r.state === "held" || r.state === "behind" || r.state === "unknown").length;
  const error = policies.error ?? registries.error ?? activity.error ?? drifts.find((d) => d.error !== null)?.error ?? latest.find((l) => l.error !== null)?.error ?? null;
  return (
    <>
      <PageHead title={words.overview.title} sub={words.overview.intro} />
      {error !== null && <Failure error={error} retry={() => void policies.refetch()} />}
      {loaded && rows.length > 0 && (
        <Alert style={{ marginBottom: 16 }} showIcon type={bad > 0 ? "warning" : "success"} data-testid="verdict"
          title={bad > 0 ? words.overview.attention(bad) : words.overview.allWell(rows.filter((r) => r.state !== "deactivated").length)} />
      )}
      <Panel>
        <Table<Standing> rowKey="key" columns={columns} dataSource={loaded ? rows : []} loading={!loaded && error === null} size="middle" {...(wide && { scroll: { x: 760 } })} pagination={rows.length > 50 ? { pageSize: 50, size: "small" } : false}
          locale={{
            emptyText: loaded ? (
              <Nothing title={words.overview.empty} text={words.overview.emptyText}>
                <span style={{ display: "inline-flex", gap: 8, flexWrap: "wrap", justifyContent: "center" }}>
                  <LinkButton primary={(registries.data ?? []).length === 0} to="/harbor/registries?new=1">{words.overview.first}</LinkButton>
                  <LinkButton primary={(registries.data ?? []).length > 0} to="/harbor/replications?new=1">{words.overview.second}</LinkButton>
                </span>
              </Nothing>
            ) : " ",
          }} />
      </Panel>
      {loaded && rows.length > 0 && activity.data !== undefined && <Panel label={words.overview.chart.title}><ActivityChart hours={activity.data.hours} /></Panel>}
    </>
  );
}

function LinkButton({ to, primary = false, children }: { to: string; primary?: boolean; children: ReactNode }) {
  const navigate = useNavigate();
  return (
    <Button type={primary ? "primary" : "default"} href={to} onClick={(e) => { e.preventDefault(); void navigate(to); }}>{children}</Button>
  );
}

const order: StandingState[] = ["failing", "held", "behind", "unknown", "running", "inSync", "deactivated"];

const looks: Record<StandingState, [color: string, icon: ReactNode]> = {
  failing: ["error", <CloseCircleFilled key="i" />],
  held: ["warning", <PauseCircleFilled key="i" />],
  behind: ["warning", <ExclamationCircleFilled key="i" />],
  unknown: ["default", <QuestionCircleOutlined key="i" />],
  running: ["processing", <SyncOutlined key="i" spin />],
  inSync: ["success", <CheckCircleFilled key="i" />],
  deactivated: ["default", <MinusCircleOutlined key="i" />],
};

function useColumns(wide: boolean): TableColumnsType<Standing> {
  const { words } = useTongue();
  // On a telephone all of it stands under each other: what helps must not be beyond the edge.
  if (!wide) return [{ title: words.overview.rule, key: "all", render: (_, s) => <Narrow standing={s} /> }];
  return [
    { title: words.overview.rule, key: "rule", className: "break", render: (_, s) => <Rule standing={s} /> },
    { title: words.overview.destination, key: "destination", className: "break", render: (_, s) => <Destination standing={s} /> },
    { title: words.overview.state, key: "state", render: (_, s) => <State standing={s} /> },
    { title: words.overview.detail, key: "detail", render: (_, s) => <Detail standing={s} /> },
    { title: words.overview.help, key: "help", render: (_, s) => <Help standing={s} /> },
  ];
}

function Narrow({ standing: s }: { standing: Standing }) {
  return (
    <div className="break" style={{ display: "grid", gap: 6, justifyItems: "start" }}>
      <div><strong><Rule standing={s} /></strong> → <Destination standing={s} /></div>
      <State standing={s} />
      <div><Detail standing={s} /></div>
      <Help standing={s} />
    </div>
  );
}

function Rule({ standing: s }: { standing: Standing }) {
  return <Link to={`/harbor/replications?rule=${s.policy.id ?? ""}`}>{s.policy.name}</Link>;
}

function Destination({ standing: s }: { standing: Standing }) {
  const { words } = useTongue();
  return s.registryID === 0 ? words.common.home : s.registryName;
}

function State({ standing: s }: { standing: Standing }) {
  const { words } = useTongue();
  return <Tag color={looks[s.state][0]} icon={looks[s.state][1]}>{words.overview.states[s.state]}</Tag>;
}

function Detail({ standing: s }: { standing: Standing }) {
  const { words, format } = useTongue();
  const w = words.overview.details;
  const lines: ReactNode[] = [];
  if (s.state === "deactivated") lines.push(w.deactivated);
  if (s.unhealthy !== undefined) lines.push(<>{w.unhealthy} <Said text={s.unhealthy} /></>);
  if (s.lastFailed !== undefined || s.failingTime !== undefined) {
    const reason = s.unhealthy !== undefined ? "" : s.failingReason !== "" ? s.failingReason : s.lastFailed?.status_text ?? "";
    lines.push(<>{isTime(s.failingTime) ? <span title={format.time(s.failingTime)}>{w.failing(format.relative(s.failingTime))}</span> : w.failed} {reason !== "" && <Said text={reason} />}</>);
  }
  if (s.held !== 0) lines.push(w.held);
  if (s.drift > 0) lines.push(w.behind(s.drift));
  if (s.waiting > 0) lines.push(<><ClockCircleOutlined /> {w.waiting(s.waiting)} {isTime(s.oldest) && <span title={format.time(s.oldest)}>{w.waitingSince(format.relative(s.oldest))}</span>}</>);
  if (s.state === "running") lines.push(w.running);
  if (s.state === "unknown") lines.push(s.checkError !== "" ? <>{w.incomplete} <Said text={s.checkError} /></> : isTime(s.verified) ? w.changed : w.never);
  if (s.state === "inSync") lines.push(s.known > 0 ? w.inSync(s.known) : w.inSyncEmpty);
  if (isTime(s.verified) && s.state !== "deactivated") {
    lines.push(<Typography.Text type="secondary" title={format.time(s.verified)}>{w.verified(format.relative(s.verified))}</Typography.Text>);
  }
  return <>{lines.map((line, i) => <div key={i}>{line}</div>)}</>;
}

function Help({ standing: s }: { standing: Standing }) {
  const { words } = useTongue();
  const w = words.overview.helps;
  const tell = useTell();
  const client = useQueryClient();
  const id = s.policy.id ?? 0;
  const verify = useMutation({
    mutationFn: () => must(api.POST("/replication/policies/{id}/drift", { params: { path: { id } } })),
    onSuccess: () => tell.done(words.drift.asked), onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["drift", id] }),
  });
  const enable = useMutation({
    mutationFn: async () => {
      const now = await must(api.GET("/replication/policies/{id}", { params: { path: { id } } }));
      await must(api.PUT("/replication/policies/{id}", { params: { path: { id } }, body: { ...now, enabled: true } }));
    },
    onSuccess: () => tell.done(words.replications.enabledDone), onError: tell.failed, onSettled: () => client.invalidateQueries({ queryKey: ["policies"] }),
  });
  if (s.state === "deactivated") return <Button loading={enable.isPending} onClick={() => enable.mutate()}>{w.enable}</Button>;
  if (s.unhealthy !== undefined) return <LinkButton to={`/harbor/registries?edit=${s.registryID}`}>{w.registry}</LinkButton>;
  if (s.state === "held") return <LinkButton primary to={`/harbor/replications/${s.held}/tasks`}>{w.held}</LinkButton>;
  if (s.lastFailed !== undefined) return <LinkButton to={`/harbor/replications/${s.lastFailed.id ?? ""}/tasks`}>{w.execution}</LinkButton>;
  if (s.drift > 0) return <LinkButton to={`/harbor/replications?rule=${id}&tab=drift&only=1`}>{w.drift}</LinkButton>;
  if (s.state === "unknown") return <Button loading={verify.isPending || s.checking} onClick={() => verify.mutate()}>{w.verify}</Button>;
  return null;
}
