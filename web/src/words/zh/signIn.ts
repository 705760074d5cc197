import type { Words } from "../en";

export const signIn: Words["signIn"] = {
  title: "登录 Lighterage",
  user: "用户名",
  password: "密码",
  userRequired: "用户名为必填项。",
  passwordRequired: "密码为必填项。",
  submit: "登录",
  wrong: "用户名或者密码不正确。",
  slow: "错误登录次数过多，请等待一分钟后再试。",
  ended: "会话已过期",
  endedText: "重新登录后可继续当前操作，本页内容不会丢失。",
  hint: "服务器首次启动时已打印 admin 的密码。",
};
