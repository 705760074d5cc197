import type { Words } from "../en";

export const nav: Words["nav"] = {
  main: "主导航",
  overview: "概览",
  projects: "项目",
  administration: "系统管理",
  registries: "仓库管理",
  replications: "复制管理",
  storage: "存储",
  menu: "菜单",
  skip: "跳到内容",
  theme: "主题",
  themes: { light: "浅色", dark: "深色", system: "跟随系统" },
  language: "语言",
  account: "账户",
  logOut: "退出登录",
  version: (v) => `版本 ${v}`,
  readOnly: "镜像库处于只读模式：不能推送或删除，也不能在此修改任何设置。拉取镜像以及向其他仓库的复制照常进行。",
  notLive: "实时更新已中断，显示的内容可能已过期；系统会自动重新连接。",
};
