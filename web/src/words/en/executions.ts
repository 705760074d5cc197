import { count } from "./count";

export const executions = {
  columns: {
    id: "ID", status: "Status", trigger: "Trigger", start: "Start Time", duration: "Duration", rate: "Success Rate", total: "Total", bytes: "Transferred",
  },
  stop: "Stop",
  retry: "Retry",
  empty: "We couldn't find any executions!",
  emptyText: "There is one for each run of the rule.",
  noMatch: "No execution is like that.",
  allStatuses: "All statuses",
  allTriggers: "All triggers",
  statuses: {
    Pending: "Pending", InProgress: "In Progress", Succeed: "Succeeded", Failed: "Failed", Stopped: "Stopped",
  } as Record<string, string>,
  triggers: { manual: "Manual", scheduled: "Scheduled", event_based: "Event Based" } as Record<string, string>,
  stopTitle: "Stop Executions",
  stopText: (ids: string) => `Stop ${ids}? What is being copied is cut off at once. What is at the destination stays.`,
  stopped: "Stopped.",
  retried: (n: number) => (n === 0 ? "There is nothing to be tried again." : `${count(n, "task is", "tasks are")} tried again.`),
  nothing: "nothing",
  noTasks: "no tasks",
  rate: (bytes: string) => `${bytes}/s`,
  left: (time: string) => `about ${time} left`,
};
