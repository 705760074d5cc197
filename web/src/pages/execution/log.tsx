// The log of a task, which grows while one looks.
import { Alert, Checkbox, Drawer, Input, Typography } from "antd";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useWords } from "../../words";

interface Line {
  id: string;
  text: string;
}

export function LogViewer({ execution, task, close }: { execution: number; task: number; close: () => void }) {
  const words = useWords();
  const address = `/api/v2.0/replication/executions/${execution}/tasks/${task}/log`;
  const { lines, ended, lost } = useLog(`${address}/events`);
  const [follow, setFollow] = useState(true);
  const [filter, setFilter] = useState("");
  const box = useRef<HTMLPreElement>(null);
  useLayoutEffect(() => {
    if (follow && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow, filter]);
  const shown = filter === "" ? lines : lines.filter((l) => l.text.toLowerCase().includes(filter.toLowerCase()));
  const scrolled = () => {
    const b = box.current;
    if (b !== null) setFollow(b.scrollHeight - b.scrollTop - b.clientHeight < 24); // who scrolls back wants to read
  };
  return (
    <Drawer open onClose={close} placement="bottom" size="70vh" title={words.log.title(task)} extra={<a href={address} target="_blank" rel="noreferrer">{words.log.raw}</a>}
      styles={{ body: { display: "flex", flexDirection: "column", gap: 8, padding: 16 } }}>
      <div className="toolbar" style={{ margin: 0 }}>
        <Checkbox checked={follow} onChange={(e) => setFollow(e.target.checked)}>{words.log.follow}</Checkbox>
        <Typography.Text type="secondary" aria-live="polite">{ended ? words.log.ended : words.log.following}</Typography.Text>
        <span className="toolbar-space" />
        <Input className="toolbar-search" allowClear value={filter} placeholder={words.log.filter} aria-label={words.log.filter} onChange={(e) => setFilter(e.target.value)} />
      </div>
      {lost && <Alert type="warning" showIcon title={words.log.lost} />}
      <div style={{ flex: 1, minHeight: 0 }}>
        {/* A box that scrolls is for the keyboard too. */}
        <pre className="log" ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label={words.log.title(task)} data-testid="log">
          {lines.length === 0 ? words.log.empty : shown.map((l) => <div key={l.id} className={levelOf(l.text)}>{l.text}</div>)}
        </pre>
      </div>
    </Drawer>
  );
}

function levelOf(line: string): string {
  const level = /\[(WARNING|ERROR)\]/.exec(line)?.[1];
  return level === undefined ? "" : `log-${level}`;
}

/** Follows a log. Lines that come in one go are shown in one go. */
function useLog(address: string): { lines: Line[]; ended: boolean; lost: boolean } {
  const [lines, setLines] = useState<Line[]>([]);
  const [ended, setEnded] = useState(false);
  const [lost, setLost] = useState(false);
  useEffect(() => {
    const source = new EventSource(address);
    let waiting: Line[] = [];
    let frame = 0;
    const show = () => {
      frame = 0;
      const fresh = waiting;
      waiting = [];
      setLines((before) => [...before, ...fresh]);
    };
    source.onopen = () => setLost(false);
    source.onmessage = (event) => {
      waiting.push({ id: event.lastEventId, text: event.data as string });
      if (frame === 0) frame = requestAnimationFrame(show);
    };
    source.addEventListener("end", () => {
      setEnded(true);
      source.close();
    });
    source.onerror = () => setLost(source.readyState === EventSource.CLOSED);
    return () => {
      source.close();
      cancelAnimationFrame(frame);
    };
  }, [address]);
  return { lines, ended, lost };
}
