// Live updates: the server says what has changed, and what is shown of it is read anew.
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Execution } from "./client";

/** Keeps everything that is shown up to date. Returns false while changes cannot be seen. */
export function useLiveUpdates(): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  useEffect(() => {
    let source: EventSource | undefined;
    const open = () => {
      if (source !== undefined || document.hidden) return;
      source = new EventSource("/api/v2.0/replication/events");
      listen(source, client, setLive);
    };
    const close = () => {
      source?.close();
      source = undefined;
    };
    // Browsers allow six connections to a server: a page that nobody sees needs none.
    const turn = () => (document.hidden ? close() : open());
    open();
    document.addEventListener("visibilitychange", turn);
    return () => {
      document.removeEventListener("visibilitychange", turn);
      close();
    };
  }, [client]);
  return live;
}

function listen(source: EventSource, client: QueryClient, setLive: (live: boolean) => void): void {
  const renew = (...key: (string | number)[]) => void client.invalidateQueries({ queryKey: key });
  let lost: ReturnType<typeof setTimeout> | undefined;
  source.addEventListener("ready", () => {
    clearTimeout(lost);
    lost = undefined;
    setLive(true);
    void client.invalidateQueries(); // what has changed while nobody listened
  });
  source.addEventListener("error", () => {
    // The server ends each stream after some minutes, and browsers come again at once:
    // that is no trouble before it lasts.
    lost ??= setTimeout(() => setLive(false), 10_000);
    if (source.readyState === EventSource.CLOSED) renew("user"); // refused: perhaps the session has ended
  });
  source.addEventListener("execution", (event) => {
    const execution = JSON.parse(event.data as string) as Execution;
    client.setQueryData(["execution", execution.id], execution);
    renew("executions", execution.policy_id ?? 0);
    renew("tasks", execution.id ?? 0);
    renew("drift", execution.policy_id ?? 0);
  });
  source.addEventListener("policies", () => renew("policies"));
  source.addEventListener("registries", () => {
    renew("registries");
    renew("policies"); // rules show their registries
  });
  source.addEventListener("drift", (event) => renew("drift", Number(event.data)));
}
