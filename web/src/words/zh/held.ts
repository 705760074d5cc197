import { n0 } from "./count";
import type { Words } from "../en";

export const held: Words["held"] = {
  state: "等待放行",
  title: "放行之前，此次执行不会做任何操作",
  listed: (n, repositories) => `它将删除 ${n0(repositories)} 个镜像仓库中的 ${n0(n)} 项（Tag 或 artifact）：`,
  place: (repository, registry) => `${registry} 上的 ${repository}`,
  moreRepositories: (n) => `以及下方另外 ${n0(n)} 个任务所列的内容`,
  moreTags: (n) => `以及另外 ${n0(n)} 项`,
  release: "放行",
  releaseDo: "确认删除",
  releaseTitle: "放行删除操作",
  releaseText: "所列内容将在目标仓库中删除。如果源中又出现了相同内容，或目标仓库中该 Tag 已指向其他内容，则保留不动。",
  discard: "放弃",
  discardTitle: "放弃删除操作",
  discardText: "不删除任何内容：所列内容保留在目标仓库中；在规则再次复制这些内容之前，不会再次询问。",
  released: (n) => `已放行：${n0(n)} 个任务开始执行。`,
  discarded: "已放弃：全部保留。",
};
