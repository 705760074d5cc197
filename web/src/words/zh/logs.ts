import type { Words } from "../en";
import { n0 } from "./count";

export const logs: Words["logs"] = {
  title: "日志",
  intro: "谁在什么时间做了什么。",
  kept: (days) => `日志保留 ${n0(days)} 天。`,
  keptForEver: "日志永久保留。",
  comma: "、",
  space: "",
  kind: (type, operation) => `${type}（${operation}）`,
  without: (what) => `未记录：${what}。`,
  off: "当前未记录日志",
  offText: "系统设置中已关闭审计日志，现在的操作以后将无法在此查到。",
  fresh: (n) => (n >= 1000 ? `超过 ${n0(n - 1)} 条新日志` : `${n0(n)} 条新日志`),
  columns: { user: "用户名", resource: "资源", type: "资源类型", operation: "操作", result: "结果", time: "时间戳" },
  ok: "成功",
  failed: "失败",
  filterUser: "用户名",
  filterResource: "资源包含",
  allTypes: "所有资源类型",
  allOperations: "所有操作",
  allResults: "所有结果",
  from: "起始",
  until: "截止",
  empty: "尚无任何操作",
  emptyText: "推送、拉取、删除、登录以及设置的更改都会显示在这里。",
  noMatch: "没有符合条件的日志。",
  reset: "重置",
  types: {
    artifact: "Artifact", tag: "Tag", repository: "镜像仓库", project: "项目", member: "成员", user: "用户", robot: "机器人账户", configuration: "配置",
    label: "标签", registry: "目标", replication_policy: "复制规则", replication: "复制", notification: "通知", harbor: "Harbor",
    storage_fsck: "存储检查", storage_migration: "存储迁移",
  },
  operations: {
    create: "创建", update: "更新", delete: "删除", pull: "拉取", login: "登录", logout: "退出登录", start: "启动", stop: "停止", release: "放行", attach: "接入", detach: "断开",
    pause: "暂停", resume: "继续", cutover: "切换", cancel: "取消", rollback: "回退", finish: "完成",
  },
};
