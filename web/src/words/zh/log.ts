import type { Words } from "../en";

export const log: Words["log"] = {
  title: (id) => `任务 ${id} 的日志`,
  follow: "跟随",
  following: "新的日志会自动显示。",
  ended: "任务已结束。",
  empty: "尚无日志。",
  lost: "暂时无法读取日志，系统会自动重试。",
  raw: "以文本打开",
  filter: "过滤日志",
};
