import { n0 } from "./count";
import type { Words } from "../en";

export const repositories: Words["repositories"] = {
  filter: "过滤镜像仓库",
  empty: "未发现任何镜像库!",
  emptyText: "推送内容时会自动创建镜像仓库：",
  noMatch: "没有名称包含该文字的镜像仓库。",
  columns: { name: "名称", artifacts: "Artifacts", pulls: "下载数", modified: "最新变更时间", description: "描述" },
  deleted: "成功删除镜像仓库。",
  deleteTitle: "删除镜像仓库确认",
  deleteText: (names) => `确认删除镜像仓库 ${names}?`,
  deleteWhat: (n) => `将删除 ${n0(n)} 个 Artifact 及其所有 Tag、签名和 SBOM，且无法撤销。`,
  deleteElsewhere: "会重复删除操作的事件驱动规则也将在其目标仓库中删除它们。",
  describe: "编辑描述",
  description: "描述",
  noDescription: "没有描述",
  described: "描述已保存。",
  push: "推送命令",
  pushTitle: "推送到此项目",
  pushLogin: "登录：",
  pushTag: "在项目中标记镜像：",
  pushPush: "推送镜像：",
  pushChart: "推送 Helm chart：",
  pushAny: "将任意文件作为 Artifact 推送：",
  placeholders: { source: "SOURCE_IMAGE[:TAG]", target: "REPOSITORY[:TAG]", chart: "CHART_PACKAGE", file: "FILE" },
  copy: "复制",
  copied: "已复制",
};
