// States as tags: always a colour, a sign and a word.
import {
  CheckCircleFilled, ClockCircleOutlined, CloseCircleFilled, ExclamationCircleFilled, MinusCircleOutlined, PauseCircleFilled, QuestionCircleOutlined, SyncOutlined, WarningFilled,
} from "@ant-design/icons";
import { Tag } from "antd";
import type { ReactNode } from "react";
import { useWords } from "../words";

type Look = [color: string, icon: ReactNode];

const looks: Record<string, Look> = {
  Pending: ["default", <ClockCircleOutlined key="i" />],
  InProgress: ["processing", <SyncOutlined key="i" spin />],
  Succeed: ["success", <CheckCircleFilled key="i" />],
  Failed: ["error", <CloseCircleFilled key="i" />],
  Stopped: ["default", <MinusCircleOutlined key="i" />],
};

export function ExecutionStatus({ status, hold }: { status: string | undefined; hold?: string | undefined }) {
  const words = useWords();
  if (hold !== undefined && hold !== "") return <Tag color="warning" icon={<PauseCircleFilled />}>{words.held.state}</Tag>;
  const [color, icon] = looks[status ?? ""] ?? ["default", null];
  return <Tag color={color} icon={icon}>{words.executions.statuses[status ?? ""] ?? status}</Tag>;
}

export function Health({ status }: { status: string | undefined }) {
  const words = useWords();
  return status === "healthy"
    ? <Tag color="success" icon={<CheckCircleFilled />}>{words.registries.healthy}</Tag>
    : <Tag color="error" icon={<CloseCircleFilled />}>{words.registries.unhealthy}</Tag>;
}

export function Enabled({ enabled }: { enabled: boolean | undefined }) {
  const words = useWords();
  return enabled === true
    ? <Tag color="success" icon={<CheckCircleFilled />}>{words.replications.enabled}</Tag>
    : <Tag color="warning" icon={<WarningFilled />}>{words.replications.deactivated}</Tag>;
}

const driftLooks: Record<string, Look> = {
  in_sync: ["success", <CheckCircleFilled key="i" />],
  missing: ["error", <CloseCircleFilled key="i" />],
  different: ["error", <ExclamationCircleFilled key="i" />],
  extra: ["warning", <WarningFilled key="i" />],
  not_verified: ["default", <QuestionCircleOutlined key="i" />],
};

export function DriftState({ state }: { state: string }) {
  const words = useWords();
  const [color, icon] = driftLooks[state] ?? ["default", null];
  return <Tag color={color} icon={icon} title={words.drift.stateTips[state]}>{words.drift.states[state] ?? state}</Tag>;
}
