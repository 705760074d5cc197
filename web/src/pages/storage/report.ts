// The report of a migration, for whoever keeps such things.
import type { StorageMigration } from "../../api/client";
import { useTongue } from "../../words";
import { isTime } from "../../words/format";
import { isCompared, phaseTimes, proofs, type Proof } from "./sections";

/** Returns what writes the report in Markdown. */
export function useReport(m: StorageMigration): () => string {
  const { words, format } = useTongue();
  const w = words.migration;
  const seconds = (n: number) => format.duration(n * 1000);
  const table = (head: string[], rows: string[][]) => [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`);
  const proven = (list: Proof[]) => table([w.proof, w.proofCount, w.bytes], list.map((p) => [p.proof, format.number(p.n), p.bytes === undefined ? "" : format.bytes(p.bytes)]));
  return () => {
    const lines = [
      `# ${w.report.title}`, "",
      `- ${w.report.status}: ${w.status[m.status] ?? m.status}`,
      `- ${w.from}: ${m.source.place}`, `- ${w.to}: ${m.destination.place}`,
      `- ${w.startedBy}: ${format.time(m.creation_time)}, ${m.operator}`,
      ...(isTime(m.window.start_time) ? [`- ${w.readOnlyFor}: ${seconds(m.window.seconds)} (${format.time(m.window.start_time)})`] : []),
      ...(m.problem !== undefined ? [`- ${w.problems[m.problem.code] ?? m.problem.code}: ${m.problem.message}`] : []),
      "", `## ${w.report.phases}`, "",
      ...table([w.report.phase, w.report.began, w.report.ended], phaseTimes(m).map((p) => [w.phases[p.name] ?? p.name, format.time(p.began), format.time(p.ended)])),
      "", `## ${w.copyTitle}`, "",
      ...table(["", w.objects, w.bytes], [[w.inAll, format.number(m.total.objects), format.bytes(m.total.bytes)]]),
      "", `## ${w.evidenceTitle}`, "",
      ...(isCompared(m) ? [
        `**${w.differences(format.number(m.differences_total))}**`, "",
        w.sameOf(format.number(m.evidence.same), format.number(m.evidence.objects)),
        ...(m.artifacts.manifests > 0 ? [w.wholeArtifacts(m.artifacts.tags, m.artifacts.manifests)] : []), "",
        ...proven([...proofs(m.evidence, w.proofs), ...(m.evidence.before > 0 ? [{ proof: w.proofBefore, n: m.evidence.before }] : [])]),
      ] : [w.notCompared]),
      ...(m.rehearsal !== undefined ? [
        "", `### ${w.rehearsalTitle}`, "",
        `${format.time(m.rehearsal.time)}, ${seconds(m.rehearsal.seconds)}: ${w.sameOf(format.number(m.rehearsal.same), format.number(m.rehearsal.objects))}`, "",
        ...proven(proofs(m.rehearsal, w.proofs)),
      ] : []),
      ...(m.differences.length > 0 ? [""] : []),
      ...m.differences.map((f) => `- ${w.findingKinds[f.kind] ?? f.kind}: \`${f.name}\` ${f.reason}`),
      "", `## ${w.pullsTitle}`, "",
      ...table([w.pulls.image, w.pulls.what, w.pulls.bytes, w.pulls.seconds, w.pulls.result], m.pulls.map((p) => [
        `${p.repository}:${p.reference} ${p.digest}`, w.pullWhat[p.what] ?? p.what, format.bytes(p.bytes), seconds(p.seconds), p.error != null && p.error !== "" ? p.error : w.pullOk,
      ])),
      ...(m.damage.length > 0 ? ["", `## ${w.damageTitle}`, "", ...m.damage.map((f) => `- ${f.kind}: \`${f.name}\` ${f.reason}`)] : []),
    ];
    return lines.join("\n") + "\n";
  };
}

/** Has the browser keep a file. */
export function save(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
