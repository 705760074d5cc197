import type { Words } from "../en";

export const search: Words["search"] = {
  field: "搜索项目和镜像仓库",
  projects: "项目",
  repositories: "镜像仓库",
  nothing: "没有名称包含该文字的内容。",
};
