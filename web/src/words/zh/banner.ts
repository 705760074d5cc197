import type { Words } from "../en";

export const banner: Words["banner"] = {
  type: "消息类型",
  types: { success: "成功", info: "信息", warning: "警告", danger: "危险" },
  closable: "可关闭",
  from: "从",
  to: "至",
  order: "横幅的结束时间早于开始时间。",
};
