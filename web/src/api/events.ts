// Live updates: the server says what has changed, and what is shown of it is read anew.
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Execution, StorageFsck, StorageMigration } from "./client";

/** Keeps everything that is shown up to date. Returns false while changes cannot be seen. */
export function useLiveUpdates(): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  useEffect(() => whileSeen("/api/v2.0/replication/events", (source) => listen(source, client, setLive)), [client]);
  return live;
}

/** Keeps what everybody is told of the system up to date, for those who have no stream of all. */
export function useLiveSystem(): void {
  const client = useQueryClient();
  useEffect(() => whileSeen("/api/v2.0/systeminfo/events", (source) => {
    source.addEventListener("ready", () => renewSystem(client)); // what has changed while nobody listened
    source.addEventListener("system", () => renewSystem(client));
  }), [client]);
}

function renewSystem(client: QueryClient): void {
  for (const key of ["system", "settings"]) void client.invalidateQueries({ queryKey: [key] });
}

/** Keeps what is shown of a project up to date. */
export function useLiveProject(id: number): void {
  const client = useQueryClient();
  useEffect(() => {
    if (id === 0) return undefined;
    return whileSeen(`/api/v2.0/projects/${id}/events`, (source) => listenToProject(source, client));
  }, [client, id]);
}

/** Keeps what is shown of the storage's migration up to date. */
export function useLiveStorageMigration(): void {
  const client = useQueryClient();
  useEffect(() => whileSeen("/api/v2.0/storage/events", (source) => {
    const renew = (key: string) => void client.invalidateQueries({ queryKey: [key] });
    source.addEventListener("ready", () => { renew("storage-migration"); renew("storage"); });
    source.addEventListener("migration", (event) => {
      const now = JSON.parse(event.data as string) as StorageMigration;
      const before = client.getQueryData<StorageMigration | null>(["storage-migration"]);
      client.setQueryData(["storage-migration"], now);
      if (before?.status !== now.status || before.phase !== now.phase) renew("storage"); // it may be elsewhere now
      if (before?.window.read_only !== now.window.read_only) renew("system"); // what says so on every page
    });
  }), [client]);
}

/** Keeps what is shown of the checks of the storage up to date. */
export function useLiveStorageChecks(): void {
  const client = useQueryClient();
  useEffect(() => whileSeen("/api/v2.0/storage/fsck/events", (source) => {
    const renew = (...key: (string | number | boolean)[]) => void client.invalidateQueries({ queryKey: key });
    source.addEventListener("ready", () => renew("storage-checks"));
    source.addEventListener("fsck", (event) => {
      const check = JSON.parse(event.data as string) as StorageFsck;
      client.setQueryData<StorageFsck[]>(["storage-checks"], (list) => list === undefined ? undefined : [check, ...list.filter((c) => c.id !== check.id)]);
      renew("storage-findings", check.id, true);
    });
  }), [client]);
}

/** How many entries of the log have come since a page of it was read: the page stays as it is. */
export function useNewLogEntries(read: { q: string; mark: string } | undefined): number {
  const [told, setTold] = useState({ q: "", mark: "", count: 0 });
  const q = read?.q ?? "", mark = read?.mark ?? "";
  useEffect(() => {
    if (mark === "") return undefined;
    const since = new URLSearchParams({ since: mark, ...(q !== "" && { q }) });
    return whileSeen(`/api/v2.0/auditlog-exts/watch?${since}`, (source) => {
      source.addEventListener("entries", (event) => setTold({ q, mark, count: (JSON.parse(event.data as string) as { new: number }).new }));
    });
  }, [q, mark]);
  return told.q === q && told.mark === mark ? told.count : 0;
}

/** Listens to a stream while the page is seen: browsers allow six connections to a server. */
function whileSeen(path: string, begin: (source: EventSource) => void): () => void {
  let source: EventSource | undefined;
  const close = () => {
    source?.close();
    source = undefined;
  };
  const turn = () => {
    if (document.hidden) close();
    else if (source === undefined) begin(source = new EventSource(path));
  };
  turn();
  document.addEventListener("visibilitychange", turn);
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}

function listenToProject(source: EventSource, client: QueryClient): void {
  const renew = (...keys: string[]) => {
    for (const key of keys) void client.invalidateQueries({ queryKey: [key] });
  };
  const contents = ["artifacts", "repositories", "repository", "project"];
  source.addEventListener("ready", () => renew(...contents)); // what has changed while nobody listened
  source.addEventListener("contents", () => renew(...contents));
  source.addEventListener("replication", () => renew("artifacts"));
}

function listen(source: EventSource, client: QueryClient, setLive: (live: boolean) => void): void {
  const renew = (...key: (string | number)[]) => void client.invalidateQueries({ queryKey: key });
  let lost: ReturnType<typeof setTimeout> | undefined;
  source.addEventListener("ready", () => {
    clearTimeout(lost);
    lost = undefined;
    setLive(true);
    // What has changed while nobody listened; but the log stays as it is while it is read.
    void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "logs" });
  });
  source.addEventListener("error", () => {
    // The server ends each stream after some minutes, and browsers come again at once:
    // that is no trouble before it lasts.
    lost ??= setTimeout(() => setLive(false), 10_000);
    if (source.readyState === EventSource.CLOSED) renew("user"); // refused: perhaps the session has ended
  });
  // It sums everything up, and is asked for once for many executions.
  let summing: ReturnType<typeof setTimeout> | undefined;
  const sumUp = () => {
    summing ??= setTimeout(() => {
      summing = undefined;
      renew("activity");
    }, 2_000);
  };
  source.addEventListener("execution", (event) => {
    sumUp();
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
  source.addEventListener("system", () => renewSystem(client));
  source.addEventListener("drift", (event) => renew("drift", Number(event.data)));
}
