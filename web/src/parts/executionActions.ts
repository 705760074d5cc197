import { useMutation, useQueryClient } from "@tanstack/react-query";
import { App } from "antd";
import { api, must, type Execution } from "../api/client";
import { useWords } from "../words";
import { useTell } from "./failure";

/** Stopping and trying again, from lists and from the page of one. */
export function useExecutionActions() {
  const words = useWords();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const renew = () => {
    for (const key of ["executions", "execution", "tasks", "drift"]) void client.invalidateQueries({ queryKey: [key] });
  };
  const stop = useMutation({
    mutationFn: async (list: Execution[]) => {
      for (const { id = 0 } of list) await must(api.PUT("/replication/executions/{id}", { params: { path: { id } } }));
    },
    onSuccess: () => tell.done(words.executions.stopped), onError: tell.failed, onSettled: renew,
  });
  const retry = useMutation({
    mutationFn: async (list: Execution[]) => {
      let tasks = 0;
      for (const { id = 0 } of list) tasks += (await must(api.POST("/replication/executions/{id}/retry", { params: { path: { id } } }))).tasks;
      return tasks;
    },
    onSuccess: (tasks) => tell.done(words.executions.retried(tasks)), onError: tell.failed, onSettled: renew,
  });
  const retryTask = useMutation({
    mutationFn: ({ execution, task }: { execution: number; task: number }) => must(api.POST("/replication/executions/{id}/tasks/{task_id}/retry", { params: { path: { id: execution, task_id: task } } })),
    onSuccess: () => tell.done(words.executions.retried(1)), onError: tell.failed, onSettled: renew,
  });
  return {
    stop: (list: Execution[]) => modal.confirm({
      title: words.executions.stopTitle, content: words.executions.stopText(list.map((e) => e.id).join(", ")), okText: words.executions.stop, okButtonProps: { danger: true },
      cancelText: words.common.cancel, onOk: () => stop.mutateAsync(list).catch(() => undefined),
    }),
    retry: (list: Execution[]) => retry.mutate(list),
    retryTask: (execution: number, task: number) => retryTask.mutate({ execution, task }),
    busy: stop.isPending || retry.isPending || retryTask.isPending,
  };
}

/** Whether something of an execution can be stopped: it runs, or waits for another try, as those of events do. */
export function canStop(e: Execution): boolean {
  return e.status === "InProgress" || (e.status === "Failed" && e.trigger === "event_based");
}

/** Whether an execution waits until somebody confirms what it lists. */
export function isHeld(e: Execution): boolean {
  return e.hold !== undefined && e.hold !== "";
}

export function canRetry(e: Execution): boolean {
  return e.status === "Failed" || e.status === "Stopped";
}

export function durationOf(e: { start_time?: string; end_time?: string }): number {
  const end = e.end_time === undefined || e.end_time.startsWith("0001-") ? Date.now() : new Date(e.end_time).getTime();
  return end - new Date(e.start_time ?? "").getTime();
}
