import type { Words } from "../en";

const or = (texts: string[]) => new Intl.ListFormat("zh-CN", { type: "disjunction" }).format(texts.map((text) => `“${text}”`));
const and = (texts: string[]) => ` ${texts.join("、")} `;

export const pattern: Words["pattern"] = {
  sentence: (tags, repositories) => `${repositories}中${/^[以除]/.test(tags) ? "，" : "的"}${tags.startsWith("Tag") ? " " : ""}${tags.trim()}。`,
  tags: {
    all: "所有 Tag",
    exactly: (texts) => `Tag${and(texts)}`,
    begins: (texts) => `以${or(texts)}开头的所有 Tag`,
    ends: (texts) => `以${or(texts)}结尾的所有 Tag`,
    contains: (texts) => `包含${or(texts)}的所有 Tag`,
    between: (from, to) => `以“${from}”开头并以“${to}”结尾的所有 Tag`,
    like: (text) => `形如 ${text} 的所有 Tag`,
  },
  but: {
    all: "任何 Tag 都不包含",
    exactly: (texts) => `除${and(texts)}以外的所有 Tag`,
    begins: (texts) => `除以${or(texts)}开头的以外，所有 Tag`,
    ends: (texts) => `除以${or(texts)}结尾的以外，所有 Tag`,
    contains: (texts) => `除包含${or(texts)}的以外，所有 Tag`,
    between: (from, to) => `除以“${from}”开头并以“${to}”结尾的以外，所有 Tag`,
    like: (text) => `除形如 ${text} 的以外，所有 Tag`,
  },
  repositories: {
    all: "所有镜像仓库",
    exactly: (texts) => `镜像仓库${and(texts)}`,
    inProject: (texts) => `项目${and(texts)}的所有镜像仓库`,
    below: (texts) => `${texts.join("、")} 之下的所有镜像仓库`,
    directly: (texts) => `直接位于${and(texts)}之下的所有镜像仓库`,
    named: (texts) => `名为${or(texts)}的所有镜像仓库（不论其前缀）`,
    like: (text) => `名称形如 ${text} 的镜像仓库`,
  },
  signs: {
    "**": "** 作为两个斜杠之间的一段，代表任意多段",
    "*": "* 代表除 / 以外的任意字符",
    "?": "? 代表除 / 以外的一个字符",
    "[]": "[a-c] 代表其中一个字符",
    "{}": "{a,b} 代表其中一个选项",
  },
  noProject: (text) => `镜像仓库名称以项目开头：这里没有名为 ${text} 的镜像仓库。您是否想写 */${text} 或 **/${text}？`,
};
