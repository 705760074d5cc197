import { n0 } from "./count";
import type { Words } from "../en";

export const execution: Words["execution"] = {
  title: (id) => `执行记录 | ${id}`,
  of: "规则",
  back: "复制管理",
  triggerMode: "触发模式",
  start: "开始时间",
  end: "结束时间",
  duration: "持续时间",
  counts: { succeed: "成功", failed: "失败", in_progress: "进行中", stopped: "已停止" },
  transferred: "已传输",
  tasks: "任务",
  columns: {
    id: "任务ID", type: "源类型", source: "源", destination: "目标", operation: "操作", status: "状态", bytes: "已传输",
    start: "开始时间", end: "结束时间", log: "日志",
  },
  operations: { copy: "复制", deletion: "删除", "tag deletion": "删除 Tag" },
  noTasks: "此次执行没有任务",
  noTasksYet: "正在比较源与目标仓库",
  nextAttempt: (when) => `下次尝试：${when}`,
  attempts: (n) => `已尝试 ${n0(n)} 次`,
  retryTask: "重试",
  showLog: (id) => `任务 ${id} 的日志`,
  items: {
    reference: "Tag 或摘要", action: "操作", outcome: "结果", size: "大小", reason: "原因",
    actions: { copy: "复制", overwrite: "覆盖", delete: "删除", skip: "跳过", conflict: "冲突" },
    outcomes: { copied: "已复制", unchanged: "无变化", kept: "保留原有", deleted: "已删除", absent: "不存在", foreign: "非本规则所有，未动", failed: "失败" },
  },
  gone: "该执行记录已不存在",
  goneText: "每条规则只保留最近的执行记录；更早的会被清理，规则删除时其记录一并删除。",
};
