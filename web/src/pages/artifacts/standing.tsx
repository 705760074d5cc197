// How an artifact stands at the destinations of replication rules.
import {
  CheckCircleFilled, ClockCircleOutlined, CloseCircleFilled, ExclamationCircleFilled, QuestionCircleOutlined, SyncOutlined, WarningFilled,
} from "@ant-design/icons";
import { Tag, Typography } from "antd";
import type { ReactNode } from "react";
import type { ArtifactReplication } from "../../api/client";
import { Said } from "../../parts/failure";
import { useTongue, useWords } from "../../words";
import { isTime } from "../../words/format";

type Look = [color: string, icon: ReactNode];

/** From what wants to be seen first to what is well. */
const looks: Record<string, Look> = {
  failing: ["error", <CloseCircleFilled key="i" />],
  different: ["error", <ExclamationCircleFilled key="i" />],
  missing: ["error", <CloseCircleFilled key="i" />],
  extra: ["warning", <WarningFilled key="i" />],
  running: ["processing", <SyncOutlined key="i" spin />],
  waiting: ["processing", <ClockCircleOutlined key="i" />],
  not_verified: ["default", <QuestionCircleOutlined key="i" />],
  in_sync: ["success", <CheckCircleFilled key="i" />],
};
const order = Object.keys(looks);

export function StandingState({ state, text }: { state: string; text?: string }) {
  const { artifacts: words } = useWords();
  const [color, icon] = looks[state] ?? ["default", null];
  return <Tag color={color} icon={icon} title={words.standing.tips[state]} className="tag">{text ?? words.standing.states[state] ?? state}</Tag>;
}

/** Why something stands as it does. */
export function Reason({ of }: { of: ArtifactReplication }) {
  const { words, format } = useTongue();
  const { standing } = words.artifacts;
  const reason = of.reason ?? "";
  return (
    <>
      {reason !== "" && (standing.reasons[reason] ?? <Said text={reason} />)}
      {isTime(of.next_attempt_time) && <Typography.Text type="secondary" className="cell-sub" title={format.time(of.next_attempt_time)}>{standing.next(format.relative(of.next_attempt_time))}</Typography.Text>}
      {!of.policy_enabled && <Typography.Text type="secondary" className="cell-sub">{standing.disabled}</Typography.Text>}
    </>
  );
}

/** All of an artifact at one destination: the worst of it, and how much of it is well. */
interface Summary {
  worst: ArtifactReplication;
  well: ArtifactReplication[];
  all: number;
}

function summaries(list: ArtifactReplication[]): Summary[] {
  const by = new Map<number, ArtifactReplication[]>();
  for (const n of list) {
    const some = by.get(n.registry_id);
    if (some === undefined) by.set(n.registry_id, [n]);
    else some.push(n);
  }
  return [...by.values()].map((some) => ({
    worst: some.reduce((a, b) => (order.indexOf(b.state) < order.indexOf(a.state) ? b : a)),
    well: some.filter((n) => n.state === "in_sync"), all: some.length,
  }));
}

const shownDestinations = 4;

/** In a list: each destination once, with its state and since when. */
export function StandingCell({ list }: { list: ArtifactReplication[] | null | undefined }) {
  const { words, format, translated } = useTongue();
  const { standing } = words.artifacts;
  if (list == null || list.length === 0) return <Typography.Text type="secondary">-</Typography.Text>;
  const destinations = summaries(list);
  return (
    <ul className="plain standings">
      {destinations.slice(0, shownDestinations).map(({ worst, well, all }) => {
        const since = well.map((n) => n.since).filter(isTime).sort().at(-1);
        const seen = well.map((n) => n.verified_time).filter(isTime).sort().at(0);
        const reason = standing.reasons[worst.reason ?? ""] ?? translated(worst.reason ?? "") ?? worst.reason;
        return (
          <li key={worst.registry_id}>
            <StandingState state={worst.state} text={`${worst.registry_name}: ${standing.states[worst.state] ?? worst.state}`} />
            <Typography.Text type="secondary" className="cell-sub break" title={worst.state === "in_sync" ? format.time(since ?? seen) : reason}>
              {worst.state === "in_sync"
                ? since !== undefined ? standing.since(format.relative(since)) : seen !== undefined ? standing.verified(format.relative(seen)) : null
                : <span className="clamp">{reason}</span>}
              {worst.state !== "in_sync" && all > 1 && <span> ({words.artifacts.standing.states["in_sync"]}: {standing.partly(well.length, all)})</span>}
            </Typography.Text>
          </li>
        );
      })}
      {destinations.length > shownDestinations && <li><Typography.Text type="secondary">{words.common.moreOf(destinations.length - shownDestinations)}</Typography.Text></li>}
    </ul>
  );
}
