// A table of permissions: a row for each resource, a box for each action.
import { Button, Checkbox } from "antd";
import { useTongue } from "../../words";

export function Matrix({ of, value = [], onChange, label }: { of: Record<string, string[]>; value?: string[]; onChange?: (rights: string[]) => void; label: string }) {
  const { words } = useTongue();
  const all = Object.entries(of).flatMap(([resource, actions]) => actions.map((action) => `${resource}:${action}`));
  const full = all.every((right) => value.includes(right));
  const set = (right: string, on: boolean) => onChange?.(on ? [...value, right] : value.filter((r) => r !== right));
  return (
    <div role="group" aria-label={label} className="matrix">
      <Button size="small" onClick={() => onChange?.(full ? value.filter((r) => !all.includes(r)) : [...new Set([...value, ...all])])} aria-pressed={full}>{words.robots.selectAll}</Button>
      {Object.entries(of).map(([resource, actions]) => (
        <div key={resource} className="matrix-row">
          <span className="matrix-name">{words.robots.resources[resource] ?? resource}</span>
          {actions.map((action) => (
            <Checkbox key={action} checked={value.includes(`${resource}:${action}`)} onChange={(event) => set(`${resource}:${action}`, event.target.checked)} aria-label={`${words.robots.resources[resource] ?? resource}: ${words.robots.actions[action] ?? action}`}>
              {words.robots.actions[action] ?? action}
            </Checkbox>
          ))}
        </div>
      ))}
    </div>
  );
}
