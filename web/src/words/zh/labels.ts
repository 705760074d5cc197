import type { Words } from "../en";

export const labels: Words["labels"] = {
  tab: "标签",
  intro: "全局标签可用于所有项目的 Artifact。",
  new: "新建标签",
  editTitle: "编辑标签",
  filter: "过滤标签",
  empty: "未发现任何标签!",
  emptyText: "标签用于标记 Artifact，例如可以发布到生产环境的镜像。复制规则可以按标签选择。",
  noMatch: "没有名称包含该文字的标签。",
  columns: { name: "标签", description: "描述", created: "创建时间" },
  name: "标签名字",
  description: "描述",
  color: "颜色",
  required: "标签名字为必填项。",
  created: "成功创建标签。",
  updated: "成功更新标签。",
  deleted: "成功删除标签。",
  deleteTitle: "删除标签确认",
  deleteText: (names) => `确认删除标签 ${names}?`,
  deleteWhat: "它将从所有带有它的 Artifact 上移除；按它选择的规则将不再选择这些 Artifact。",
};
