import { count } from "./count";

export const execution = {
  title: (id: number) => `Execution | ${id}`,
  of: "Rule",
  back: "Replications",
  triggerMode: "Trigger Mode",
  start: "Start Time",
  end: "End Time",
  duration: "Duration",
  counts: { succeed: "SUCCESS", failed: "FAILURE", in_progress: "IN PROGRESS", stopped: "STOPPED" },
  transferred: "Transferred",
  tasks: "Tasks",
  columns: {
    id: "Task ID", type: "Resource Type", source: "Source", destination: "Destination", operation: "Operation", status: "Status", bytes: "Transferred",
    start: "Start Time", end: "End Time", log: "Logs",
  },
  operations: { copy: "copy", deletion: "deletion", "tag deletion": "tag deletion" } as Record<string, string>,
  noTasks: "This execution has no tasks",
  noTasksYet: "The source is being compared with the destination",
  nextAttempt: (when: string) => `next attempt ${when}`,
  attempts: (n: number) => count(n, "attempt", "attempts"),
  retryTask: "Retry",
  showLog: (id: number) => `Log of task ${id}`,
  items: {
    reference: "Tag or digest", action: "Action", outcome: "Outcome", size: "Size", reason: "Reason",
    actions: { copy: "copy", overwrite: "overwrite", delete: "delete", skip: "skip", conflict: "conflict" } as Record<string, string>,
    outcomes: {
      copied: "copied", unchanged: "unchanged", kept: "kept", deleted: "deleted", absent: "absent", foreign: "not ours, left alone", failed: "failed",
    } as Record<string, string>,
  },
  gone: "This execution is not there any more",
  goneText: "The newest executions of each rule are kept; older ones are swept, and those of a deleted rule go with it.",
};
