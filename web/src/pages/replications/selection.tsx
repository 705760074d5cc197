// What the filters of a rule say, in words.
import { Form, Typography } from "antd";
import { useTongue, type Tongue } from "../../words";
import type { Decoration } from "./fields";
import { isPattern, shapeOf, signsOf } from "./pattern";

export function FiltersInWords() {
  const { words } = useTongue();
  const [filterName, filterTag, decoration, mode] = [Form.useWatch("filterName"), Form.useWatch("filterTag"), Form.useWatch("tagDecoration"), Form.useWatch("mode")] as [string?, string?, Decoration?, string?];
  const [name, tag] = [(filterName ?? "").trim(), (filterTag ?? "").trim()];
  if (!isPattern(name) || !isPattern(tag)) return null;
  const repositories = shapeOf(name, "name");
  const signs = new Set([...(repositories.kind === "like" ? signsOf(name) : []), ...(shapeOf(tag, "tag").kind === "like" ? signsOf(tag) : [])]);
  const lost = mode !== "pull" && repositories.kind === "exactly" ? repositories.texts.find((text) => !text.includes("/")) : undefined;
  return (
    <div style={{ marginBottom: 24 }} aria-live="polite">
      <Typography.Text data-testid="selection-words" className="break">{selectionWords(name, tag, decoration ?? "matches", words)}</Typography.Text>
      {[...signs].map((sign) => <Typography.Text key={sign} type="secondary" className="explain">{words.pattern.signs[sign]}</Typography.Text>)}
      {lost !== undefined && <Typography.Text type="warning" className="explain" data-testid="no-project">{words.pattern.noProject(lost)}</Typography.Text>}
    </div>
  );
}

function selectionWords(name: string, tag: string, decoration: Decoration, words: Tongue["words"]): string {
  const excluding = decoration === "excludes" && tag !== "";
  const t = excluding ? words.pattern.but : words.pattern.tags;
  const tagShape = shapeOf(tag, "tag");
  const tags = tagShape.kind === "all" ? t.all
    : tagShape.kind === "between" ? t.between(tagShape.from, tagShape.to)
    : tagShape.kind === "exactly" || tagShape.kind === "begins" || tagShape.kind === "ends" || tagShape.kind === "contains" ? t[tagShape.kind](tagShape.texts)
    : t.like(tag);
  const r = words.pattern.repositories;
  const nameShape = shapeOf(name, "name");
  const repositories = nameShape.kind === "all" ? r.all
    : nameShape.kind === "exactly" || nameShape.kind === "inProject" || nameShape.kind === "below" || nameShape.kind === "directly" || nameShape.kind === "named" ? r[nameShape.kind](nameShape.texts)
    : r.like(name);
  return words.pattern.sentence(tags, repositories);
}
