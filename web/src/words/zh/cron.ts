import type { Words } from "../en";

export const cron: Words["cron"] = {
  fields: (n) => `Cron 字符串应有六个字段，当前为 ${n} 个。`,
  second: "第一项必须为 0。",
  minute: '第二项不能为 "*"：否则规则每分钟都会启动。',
  bad: (field) => `无法理解字段“${field}”。`,
};
