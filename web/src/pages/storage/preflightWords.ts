// The rows of a preflight in Chinese, by their names, which are stable. In English the
// server says what they mean and what to do.
import type { Language } from "../../words";
import type { StoragePreflightRow } from "../../api/client";

interface RowWords { name: string; means: string; advice: string }

const askStore = "请联系存储的管理员：它的行为与 S3 不一致。";

const chinese: Record<string, RowWords> = {
  "reachable": { name: "连通性", means: "镜像库和同步都必须能访问存储。", advice: "请检查端点的拼写、端口和协议（http 或 https），存储是否运行，以及途中的防火墙和网络策略。" },
  "certificate": { name: "证书", means: "镜像库会拒绝证书无法验证的存储。", advice: "请在“存储的更多设置”中填写签发机构的 CA 证书，并检查证书的主机名、有效期和本机时钟。" },
  "clock": { name: "时钟", means: "存储会拒绝时间相差超过 15 分钟的请求。", advice: "请校准时钟，包括运行镜像库的节点。" },
  "credentials": { name: "密钥", means: "镜像库用密钥为每个请求签名。", advice: "请检查访问密钥是否属于该存储，以及秘密密钥是否正确。" },
  "region": { name: "区域", means: "请求按区域签名。", advice: "请填写存储桶所在的区域。" },
  "bucket": { name: "存储桶", means: "镜像库不会自己创建存储桶。", advice: "请创建存储桶，或检查其名称和端点。" },
  "list": { name: "列举", means: "镜像库通过列举查找文件、Tag 和镜像仓库；无法列举就无法拉取。", advice: askStore },
  "addressing": { name: "寻址方式", means: "存储桶位于地址的路径或主机名中。", advice: "请使用支持路径方式的端点，或更改寻址方式。" },
  "versioning": { name: "版本控制", means: "启用版本控制时，删除或覆盖的内容仍占用空间：垃圾清理无法释放。", advice: "请暂停版本控制，或设置生命周期规则在数天后删除旧版本。" },
  "object lock": { name: "对象锁定", means: "对象被锁定时，镜像库无法删除上传、Tag 和垃圾。", advice: "请使用未启用对象锁定的存储桶，或去掉默认保留期。" },
  "lifecycle": { name: "生命周期规则", means: "镜像库不知道对象会自行消失：镜像会损坏。", advice: "请让规则排除镜像库的目录，或使用其他存储桶。" },
  "content": { name: "已有内容", means: "同步会在已有内容上增加，并从之前的同步继续。", advice: "如果不是同一个镜像库，请填写其他目录，否则两者的镜像会混在一起。" },
  "folder markers": { name: "目录标记", means: "镜像库会把以斜杠结尾的键当作没有名称的文件。", advice: "请删除这些键，并确保产生它们的工具不再创建。" },
  "strangers": { name: "外来文件", means: "它们不是镜像库的文件，同步不会触碰它们。", advice: "请确认它们的用途。" },
  "put": { name: "写入", means: "推送的一切内容都以此方式存储。", advice: askStore },
  "acl": { name: "ACL", means: "镜像库会为每个对象指定 x-amz-acl: private，且无法省略。", advice: "请为存储桶启用 ACL（对象所有权：存储桶所有者优先），或让存储忽略该请求头。" },
  "storage class": { name: "存储类别", means: "未设置时镜像库会指定存储类别 STANDARD。", advice: "请将类别设为 NONE，或设为存储支持的类别。" },
  "encryption": { name: "加密", means: "镜像库要求存储加密每个对象。", advice: "请取消加密，或在存储中配置加密并检查密钥名称及权限。" },
  "get": { name: "读取", means: "拉取的一切内容都以此方式读取。", advice: "如果读回的内容与写入的不同，请不要使用该存储；否则请联系存储的管理员。" },
  "range read": { name: "分段读取", means: "中断的拉取会从中间继续。", advice: askStore },
  "head": { name: "查询", means: "每次推送前，镜像库会查询不存在的内容，并需要得到明确答复。", advice: askStore },
  "overwrite": { name: "覆盖", means: "移动 Tag 时会覆盖其文件，并立即读取。", advice: "请检查存储前是否有缓存，否则推送后仍会得到旧镜像。" },
  "payload hash": { name: "摘要核对", means: "能将收到的内容与请求中的摘要核对的存储，会在同步时证明每个 Blob。", advice: "无需更改：同步会自行计算摘要。可以选中“切换前读回全部内容并核对摘要”。" },
  "checksums": { name: "校验和", means: "可借助存储提供的校验和完成校验，无需读回全部内容。", advice: "无需更改：没有证明的内容会被读回，耗时更长。" },
  "create only": { name: "仅创建", means: "镜像库和同步都不需要此功能。", advice: "无需处理。" },
  "multipart upload": { name: "分段上传", means: "推送的每一层都是一次分段上传。", advice: askStore },
  "list parts": { name: "列举分段", means: "分多次请求的推送会接着已有的分段继续。", advice: askStore },
  "list uploads": { name: "列举上传", means: "分多次请求的推送以此找到其上传。", advice: askStore },
  "uneven parts": { name: "大小不等的分段", means: "分块推送的客户端会产生大小不等的分段。docker、containerd 和 skopeo 整层推送，不受影响。", advice: "请在向本镜像库复制的 Harbor 规则中关闭分块复制。" },
  "copy in parts": { name: "分段复制", means: "推送结束时镜像库会把层复制到其位置，超过 32 MiB 时分段进行。", advice: "否则超过 32 MiB 的层将无法推送；请联系存储的管理员。" },
  "copy": { name: "复制", means: "推送结束时镜像库会把层复制到其位置。", advice: askStore },
  "abort upload": { name: "中止上传", means: "放弃的上传会被中止，否则其分段会一直占用空间。", advice: askStore },
  "request size": { name: "请求大小", means: "镜像库的请求最大 20 MiB，同步最大 256 MiB。", advice: "请提高存储前代理的限制（nginx：client_max_body_size 0），或使用存储自身的地址。" },
  "redirect": { name: "重定向", means: "拉取层的客户端会被重定向到存储的签名地址，除非关闭重定向。", advice: "除非所有拉取者都能访问存储并信任其证书，否则请关闭重定向。" },
  "delete many": { name: "批量删除", means: "删除 Tag、上传以及清理垃圾时，一次请求会删除多个对象。", advice: askStore },
  "delete one": { name: "删除", means: "同步以此删除单个对象。", advice: askStore },
  "rates": { name: "速率", means: "用于估计同步所需的时间。", advice: "未能测量，估计会较为粗略。" },
  "clean-up": { name: "清理", means: "预检时写入的内容会被删除。", advice: "请手动删除残留的内容。" },
};

/** A row in the user's language. */
export function rowWords(row: StoragePreflightRow, language: Language): RowWords {
  const known = language === "zh" ? chinese[row.name] : undefined;
  const server = { name: row.name.charAt(0).toUpperCase() + row.name.slice(1), means: row.means ?? "", advice: row.advice ?? "" };
  if (known === undefined) return server;
  const advice = row.permission != null && row.permission !== "" ? `请在这些密钥的策略中允许 ${row.permission}。` : known.advice;
  return { ...known, advice: server.advice === "" ? "" : advice };
}
