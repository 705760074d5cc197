import type { Words } from "../en";

export const unsaved: Words["unsaved"] = {
  title: "不保存就离开？",
  text: "以下内容将会丢失：",
  leave: "离开",
  stay: "留在此页",
};
