// What the server says, in Chinese. It speaks English; the texts that people meet most are
// known here by their form. What is not known is shown as it is.

type Known = [form: RegExp, chinese: string];

const known: Known[] = [
  // why a registry cannot be used
  [/^(?:the registry is unhealthy: )?The host name (.+) is not known\. Check/, "找不到主机名 $1。请检查拼写以及本机的 DNS 服务器。"],
  [/^(?:the registry is unhealthy: )?The host name (.+) could not be looked up: (.+)\. Check/, "无法解析主机名 $1（$2）。请检查本机的 DNS 服务器。"],
  [/^(?:the registry is unhealthy: )?(.+) refuses connections\. Check/, "$1 拒绝连接。请检查端口，以及仓库是否正在运行。"],
  [/^(?:the registry is unhealthy: )?(.+) does not answer\. Check/, "$1 没有应答。请检查地址、两地之间的防火墙以及代理设置。"],
  [/^(?:the registry is unhealthy: )?There is no network route to (.+)\. Check/, "没有到 $1 的网络路由。请检查地址和网络。"],
  [/^(?:the registry is unhealthy: )?(.+) wants a credential\. Set/, "$1 要求提供凭据。请填写访问ID和访问密码。"],
  [/^(?:the registry is unhealthy: )?(.+) refuses the credential of (.+)\. Check/, "$1 拒绝账户 $2 的凭据。请检查访问ID和访问密码，以及该账户是否被停用或已过期。"],
  [/^(?:the registry is unhealthy: )?(.+) knows the account (.+) but does not let it in/, "$1 认识账户 $2，但拒绝其访问 (403)。请授予推送和拉取权限，并检查本机地址是否被屏蔽。"],
  [/^(?:the registry is unhealthy: )?(.+) answers that there are too many requests/, "$1 表示请求过多 (429)。它可以访问，请稍后再试。"],
  [/^(?:the registry is unhealthy: )?(.+) is reachable but in trouble: (.+)\. Look/, "$1 可以访问但出现故障：$2。请查看该仓库自身的日志。"],
  [/^(?:the registry is unhealthy: )?(.+) answers, but not as a registry \((.+)\)\. Check/, "$1 有应答，但不是镜像仓库（$2）。请检查 URL 和端口。"],
  [/^(?:the registry is unhealthy: )?(.+) does not answer as a Harbor 2 \((.+)\)\. Check/, "$1 的应答不像 Harbor 2（$2）。请检查 URL；其他仓库请选择提供者 docker-registry。"],
  [/^(?:the registry is unhealthy: )?(.+) sends us on to (.+)\. Use that as the URL/, "$1 会跳转到 $2。请将其用作 URL。"],
  [/^(?:the registry is unhealthy: )?(.+) speaks https on this port\. Begin/, "$1 在此端口使用 https。URL 请以 https:// 开头。"],
  [/^(?:the registry is unhealthy: )?(.+) serves plain http on this port\. Begin/, "$1 在此端口使用 http。URL 请以 http:// 开头。"],
  [/^(?:the registry is unhealthy: )?(.+) does not speak TLS on this port/, "$1 在此端口不使用 TLS。如果仓库提供的是 http，URL 请以 http:// 开头。"],
  [/^(?:the registry is unhealthy: )?What listens at (.+) does not speak HTTP/, "$1 上监听的不是 HTTP 服务。请检查端口；如果是 TLS，URL 请以 https:// 开头。"],
  [/^(?:the registry is unhealthy: )?The certificate of (.+) is signed by an authority that is not trusted/, "$1 的证书由本机不信任的机构签发。请填写目标的 CA 证书，或取消选中“验证远程证书”。"],
  [/^(?:the registry is unhealthy: )?The certificate of (.+) is for another name: (.+)\. Use/, "$1 的证书属于其他名称：$2。请使用证书中的名称，或重新签发证书。"],
  [/^(?:the registry is unhealthy: )?The certificate of (.+) has expired or is not valid yet \(valid from (.+) to (.+)\)/, "$1 的证书已过期或尚未生效（有效期 $2 至 $3）。请更新证书，并检查本机时钟。"],
  [/^(?:the registry is unhealthy: )?TLS with (.+) fails: (.+)\.$/, "与 $1 的 TLS 连接失败：$2。"],
  [/^(?:the registry is unhealthy: )?(.+) cannot be reached: (.+)\.$/, "无法访问 $1：$2。"],

  // what a form or a button is answered
  [/^registry (.+) already exists$/, "名为 $1 的目标已存在。请换一个名称。"],
  [/^the registry (\d+) is referenced by replication policies/, "该目标正被复制规则使用，无法删除。请先删除这些规则或改用其他目标。"],
  [/^(?:replication )?policy (.+) already exists$/, "名为 $1 的规则已存在。请换一个名称。"],
  [/^the policy (\d+) is disabled$/, "规则已停用。请先启用规则。"],
  [/^replication policy (\d+) not found$/, "该规则已不存在。"],
  [/^replication execution (\d+) not found$/, "该执行记录已不存在。"],
  [/^registry (\d+) not found$/, "该目标已不存在。"],
  [/^The system is in read only mode/, "系统处于只读模式，禁止任何修改。"],
  [/^internal server error$/, "服务器内部错误，详情见服务器日志。"],
  [/^forbidden/i, "没有权限。"],

  [/^The project named (.+) already exists$/, "名为 $1 的项目已存在。请换一个名称。"],
  [/^tag (.+) already exists under the repository \d+$/, "该镜像仓库中已有名为 $1 的 Tag。"],
  [/^label (.+) already exists$/, "名为 $1 的标签已存在。请换一个名称。"],
  [/^project (.+) not found$/, "该项目已不存在。"],
  [/^repository (.+) not found$/, "镜像仓库 $1 已不存在。"],
  [/^artifact (.+) not found$/, "Artifact $1 已不存在。"],
  [/^Only system admin can create project$/, "仅系统管理员可以创建项目。"],
  [/^(?:error parsing regexp: )?missing closing \): (.+)$/, "正则表达式缺少右括号 )：$1"],
  [/^(?:error parsing regexp: )?unexpected \): (.+)$/, "正则表达式有多余的右括号 )：$1"],
  [/^(?:error parsing regexp: )?missing closing \]: (.+)$/, "正则表达式缺少右方括号 ]：$1"],
  [/^error parsing regexp: missing argument to repetition operator: (.+)$/, "正则表达式中的 $1 前面没有可重复的内容。"],
  [/^error parsing regexp: invalid escape sequence: (.+)$/, "正则表达式中的转义 $1 无效。"],
  [/^error parsing regexp: invalid or unsupported Perl syntax: (.+)$/, "RE2 不支持该正则表达式语法：$1"],
  [/^"(.+)" is no range of versions such as/, "“$1”不是版本范围，例如 >=1.2 <2。"],
  [/^"(.+)" can never be the name of a repository$/, "“$1”不可能成为镜像仓库的名称。"],
  [/^unknown placeholder (.+); there are/, "未知的占位符 $1；可用的有 {repository}、{project}、{path} 和 {name}。"],
  [/^\$(.+) needs rename\.regex, whose groups it means$/, "$$1 需要正则表达式，它代表其中的分组。"],
  [/^nothing matched: (.+)$/, "没有匹配的内容：$1"],
  [/^the plan is not complete: not everything could be looked at$/, "计划不完整：未能查看全部内容。"],
  [/^everything at the source was selected: no filter is set: the rule takes everything that (.+) has$/, "未设置任何过滤器：规则会复制 $1 中的全部内容。"],
  [/^(\d+) names at the destination are claimed by more than one repository/, "目标中有 $1 个名称被多个镜像仓库同时占用：不会在那里放置任何内容。"],
  [/^the rule repeats deletions: what is deleted at the source from now on is deleted at (.+) too; running it by hand deletes nothing$/, "规则会重复执行删除：今后在源中删除的内容也会在 $1 中删除；手动运行不会删除任何内容。"],
  [/^(\d+) references are deleted at the destination$/, "将在目标中删除 $1 项。"],
  [/^it is gone from the source$/, "已从源中消失。"],

  // in what the two ends of a storage migration differ
  [/^it is in the destination only$/, "仅目标中有。"],
  [/^no registry writes a file like this, and it is not in the source$/, "镜像库不会写入这样的文件，源中也没有。"],
  [/^in the source: (.+)$/, "在源中：$1"],
  [/^in the destination: (.+)$/, "在目标中：$1"],
  [/^it is damaged in the source and was not copied: (.+)$/, "源中已损坏，未同步：$1"],
  [/^it is not in the destination$/, "目标中没有。"],
  [/^it has gone from the source, and is in the destination$/, "源中已删除，目标中仍有。"],
  [/^it was removed from the destination, and is there$/, "已从目标中删除，但仍在其中。"],
  [/^the tag stands for something else than (.+) in the source$/, "Tag 在源中是 $1，在目标中不同。"],
  [/^it has (\d+) bytes and must have (\d+)$/, "有 $1 字节，应为 $2 字节。"],
  [/^its bytes are not those that its path says$/, "内容与路径中的摘要不符。"],

  // why something is not at a destination
  [/^[Ll]ook up (.+) at (.+?): .*connection refused$/, "无法查询 $2 上的 $1：连接被拒绝。"],
  [/^[Ll]ook up (.+) at (.+?): .*(?:timeout|deadline exceeded)\S*$/, "无法查询 $2 上的 $1：超时没有应答。"],
  [/^[Ll]ook up (.+) at (.+?): .*no such host$/, "无法查询 $2 上的 $1：找不到主机名。"],

  // what executions and drift say of themselves
  [/^waits until the executions before it have ended/, "等待之前的执行结束：该规则同一时间只运行一个执行。"],
  [/^(?:waits to be released: )?the source has nothing for the rule any more, which makes (\d+) deletions at its destinations$/, "源中已没有该规则的任何内容，这意味着要在目标仓库删除 $1 项。"],
  [/^(?:waits to be released: )?(\d+) of (\d+) artifacts that the rule has put at its destinations are gone from the source without an event$/, "规则复制到目标仓库的 $2 项中，有 $1 项已从源中消失，但没有收到相应的删除事件。"],
  [/^(\d+) deletions wait in execution (\d+): look at them/, "执行 $2 中有 $1 项删除等待放行，请查看后放行或放弃。"],
  [/^execution (\d+) does not wait to be released$/, "执行 $1 已不在等待放行。"],
  [/^the rule was disabled before it began$/, "规则在其开始之前被停用。"],
  [/^everything at the source was selected: no filter is set$/, "已选择源中的全部内容：未设置过滤器。"],
];

/** A text of the server in Chinese; undefined: it is only known as it is. */
export function translated(text: string): string | undefined {
  for (const [form, chinese] of known) {
    const match = form.exec(text);
    if (match !== null) return chinese.replace(/\$(\d)/g, (_, n: string) => match[Number(n)] ?? "");
  }
  return undefined;
}
