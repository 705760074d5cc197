// A plan, as far as it is known: sums, warnings and the first lines of each kind.
import { SyncOutlined } from "@ant-design/icons";
import { Alert, Radio, Tag, Typography } from "antd";
import { useState } from "react";
import { ApiError, type PlanLine, type PlanSummary } from "../../api/client";
import { plainly, planClasses, type PlanClass, type PlanSoFar } from "../../api/plan";
import { Failure, Said } from "../../parts/failure";
import { useTongue } from "../../words";

const colours: Record<PlanClass, string> = { error: "error", delete: "error", conflict: "warning", overwrite: "warning", copy: "processing", skip: "default" };

export default function PlanView({ plan, running }: { plan: PlanSoFar; running: boolean }) {
  const { words } = useTongue();
  const seen = planClasses.reduce((sum, kind) => sum + plan.counts[kind], 0);
  return (
    <div data-testid="plan" data-done={!running}>
      <div aria-live="polite">
        {running ? <Typography.Text type="secondary"><SyncOutlined spin /> {words.plan.looking(seen)}</Typography.Text> : plan.summary !== undefined && <Summary summary={plan.summary} size={plan.size} />}
      </div>
      {plan.ended !== undefined && <Failure title={words.plan.endedEarly} error={new ApiError(0, "", plainly(plan.ended))} />}
      {!running && plan.summary?.warnings?.filter((w) => !(w.code === "incomplete" && plan.ended !== undefined)).map((w) => (
        <Alert key={w.code} type={w.code === "incomplete" || w.code === "collisions" ? "error" : "warning"} showIcon style={{ marginTop: 8 }}
          title={words.plan.warnings[w.code] ?? w.code} description={<Said text={w.message} />} />
      ))}
      {seen > 0 && <Lines plan={plan} />}
    </div>
  );
}

function Summary({ summary: s, size }: { summary: PlanSummary; size: number }) {
  const { words, format } = useTongue();
  const exact = (b: NonNullable<PlanSummary["bytes"]>) => words.plan.exactly(format.bytes(b.send), format.bytes(b.mount), format.bytes(b.present));
  return (
    <>
      <div><strong>{s.tags + s.artifacts === 0 ? words.plan.matchesNothing : words.plan.matches(tagsPerDestination(s), s.repositories)}</strong></div>
      {s.bytes != null ? <div>{exact(s.bytes)}.</div> : size > 0 && <div>{words.plan.atMost(format.bytes(size))}.</div>}
      {s.left_out > 0 && <div>{words.plan.leftOut(s.left_out)}</div>}
      {s.destinations.length > 1 && s.destinations.map((d) => (
        <div key={d.dest_registry_id ?? 0} className="break">
          {words.plan.at(d.dest_registry)}: <Actions actions={d.actions} failed={d.failed} />{d.bytes != null && ` (${format.bytes(d.bytes.send)})`}
        </div>
      ))}
      {s.requests?.map((r) => <div key={r.host}>{words.plan.pulls(r.host, `${r.at_least === true ? "≥ " : ""}${format.number(r.pulls)}`, r.remaining == null ? "" : format.number(r.remaining))}</div>)}
    </>
  );
}

/** Sums are over the destinations: the tags that match are those of one of them. */
function tagsPerDestination(s: PlanSummary): number {
  return Math.max(0, ...s.destinations.map((d) => d.tags));
}

export function Actions({ actions, failed = 0 }: { actions: Record<string, number>; failed?: number }) {
  const { words, format } = useTongue();
  const parts = planClasses.flatMap((kind) => {
    const n = kind === "error" ? failed : actions[kind] ?? 0;
    return n === 0 ? [] : [`${format.number(n)} ${words.plan.classes[kind]}`];
  });
  return <>{parts.join(", ")}</>;
}

function Lines({ plan }: { plan: PlanSoFar }) {
  const { words, format } = useTongue();
  const there = planClasses.filter((kind) => plan.counts[kind] > 0);
  const [chosen, choose] = useState<PlanClass>();
  const kind = chosen !== undefined && there.includes(chosen) ? chosen : there[0] ?? "copy";
  const lines = plan.lines[kind];
  return (
    <div style={{ marginTop: 12 }}>
      <Radio.Group value={kind} onChange={(e) => choose(e.target.value as PlanClass)} optionType="button" size="small" className="plan-classes" aria-label={words.plan.tab}
        options={there.map((value) => ({ value, label: `${format.number(plan.counts[value])} ${words.plan.classes[value] ?? value}` }))} />
      {plan.counts[kind] > lines.length && <Typography.Text type="secondary" className="explain">{words.plan.shown(lines.length, plan.counts[kind])}</Typography.Text>}
      <ul className="plan-lines">
        {lines.map((line, i) => <Line key={i} line={line} kind={kind} many={(plan.summary?.destinations.length ?? 2) > 1} />)}
      </ul>
    </div>
  );
}

function Line({ line, kind, many }: { line: PlanLine; kind: PlanClass; many: boolean }) {
  const { words, format } = useTongue();
  const reference = line.tag ?? line.digest?.slice(0, 19) ?? "";
  const bytes = line.bytes ?? (kind === "copy" || kind === "overwrite" ? line.size : undefined);
  return (
    <li className="break">
      <Tag color={colours[kind]} style={{ float: "inline-end", marginInlineEnd: 0 }}>{bytes == null || bytes === 0 ? words.execution.items.actions[kind] ?? words.executions.statuses.Failed : format.bytes(bytes)}</Tag>
      <span className="code">{line.src_repository}{reference !== "" && `:${reference}`}</span>
      {(line.dst_repository !== line.src_repository || many) && (line.dst_repository ?? "") !== "" && (
        <Typography.Text type="secondary" className="cell-sub">→ <span className="code">{line.dst_repository}</span>{many && ` (${line.dest_registry ?? ""})`}</Typography.Text>
      )}
      {line.replaces != null && <Typography.Text type="secondary" className="cell-sub">{words.plan.replaces(line.replaces.slice(0, 19))}</Typography.Text>}
      {(line.reason ?? line.error ?? "") !== "" && <span className="cell-sub"><Said text={plainly(line.reason ?? line.error ?? "")} /></span>}
    </li>
  );
}
