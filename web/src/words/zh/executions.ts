import { n0 } from "./count";
import type { Words } from "../en";

export const executions: Words["executions"] = {
  columns: {
    id: "ID", status: "状态", trigger: "触发器", start: "开始时间", duration: "持续时间", rate: "成功百分比", total: "总数", bytes: "已传输",
  },
  stop: "停止任务",
  retry: "重试",
  empty: "未发现任何执行记录!",
  emptyText: "规则每运行一次就有一条执行记录。",
  noMatch: "没有符合条件的执行记录。",
  allStatuses: "所有状态",
  allTriggers: "所有触发器",
  statuses: { Pending: "等待中", InProgress: "进行中", Succeed: "成功", Failed: "失败", Stopped: "已停止" },
  triggers: { manual: "手动", scheduled: "定时", event_based: "事件驱动" },
  stopTitle: "停止执行",
  stopText: (ids) => `确认停止 ${ids}？正在进行的复制会立即中断，已到达目标仓库的内容保留不变。`,
  stopped: "已停止。",
  retried: (n) => (n === 0 ? "没有需要重试的任务。" : `正在重试 ${n0(n)} 个任务。`),
  nothing: "无",
  noTasks: "没有任务",
  rate: (bytes) => `${bytes}/秒`,
  left: (time) => `约剩 ${time}`,
};
