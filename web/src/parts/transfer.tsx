// How far the bytes of an execution or a task are.
import { Typography } from "antd";
import { useTongue } from "../words";

interface Props {
  sent: number | undefined;
  total: number | undefined;
  running: boolean;
  complete: boolean; // all that it will send is known
  start: string | undefined;
}

export function Transfer({ sent = 0, total = 0, running, complete, start }: Props) {
  const { words, format } = useTongue();
  if (total === 0 && sent === 0) return <Typography.Text type="secondary">{words.executions.nothing}</Typography.Text>;
  if (!running) return <span className="nowrap">{format.bytes(sent)}</span>;
  const seconds = (Date.now() - new Date(start ?? "").getTime()) / 1000;
  const rate = seconds > 1 ? sent / seconds : 0;
  const left = complete && rate > 0 ? (total - sent) / rate : undefined;
  return (
    <div style={{ minWidth: 150 }}>
      <progress className="progress" max={Math.max(1, total)} value={Math.min(sent, total * 0.99)} aria-label={`${format.bytes(sent)} / ${format.bytes(total)}`} />
      <Typography.Text type="secondary" className="cell-sub">
        {format.bytes(sent)} / {format.bytes(total)}
        {rate > 0 && `, ${words.executions.rate(format.bytes(rate))}`}
        {left !== undefined && left > 1 && `, ${words.executions.left(format.duration(left * 1000))}`}
      </Typography.Text>
    </div>
  );
}
