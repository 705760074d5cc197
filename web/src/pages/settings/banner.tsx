// The fields of the banner as Harbor's portal has them, over the one text that is kept.
import { Checkbox, Input, Select } from "antd";
import { useState } from "react";
import { bannerTypes, readBanner, writeBanner, type BannerMessage } from "../../parts/banner";
import { useWords } from "../../words";

export function BannerFields({ id, value = "", onChange }: { id?: string; value?: string; onChange?: (text: string) => void }) {
  const { banner: w, settings } = useWords();
  // A message that is empty for a moment keeps its type and dates: the text alone does not.
  const [typed, setTyped] = useState({ text: value, fields: readBanner(value) });
  if (typed.text !== value) setTyped({ text: value, fields: readBanner(value) });
  const { fields } = typed;
  const set = (changes: Partial<BannerMessage>) => {
    const after = { ...fields, ...changes };
    const text = writeBanner(after);
    setTyped({ text, fields: after });
    onChange?.(text);
  };
  return (
    <>
      <Input.TextArea id={id} rows={2} maxLength={1000} className="growing" value={fields.message} onChange={(e) => set({ message: e.target.value })} aria-label={settings.banner} />
      <div className="form-row" style={{ marginTop: 8, alignItems: "flex-end", gap: 16 }}>
        <label>{w.type}<br />
          <Select style={{ width: 140 }} value={fields.type} onChange={(type) => set({ type })} aria-label={w.type} options={bannerTypes.map((type) => ({ value: type, label: w.types[type] }))} />
        </label>
        <Moment label={w.from} value={fields.from} change={(from) => set({ from })} />
        <Moment label={w.to} value={fields.to} change={(to) => set({ to })} />
        <Checkbox checked={fields.closable} onChange={(e) => set({ closable: e.target.checked })}>{w.closable}</Checkbox>
      </div>
    </>
  );
}

function Moment({ label, value, change }: { label: string; value: Date | undefined; change: (to: Date | undefined) => void }) {
  return (
    <label>{label}<br />
      <Input type="datetime-local" style={{ width: 200 }} value={value === undefined ? "" : local(value)} onChange={(e) => change(e.target.value === "" ? undefined : new Date(e.target.value))} />
    </label>
  );
}

/** A moment as fields of the browser write it, in its time zone. */
function local(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Whether a banner ends before it begins. */
export function isBackwards(text: string): boolean {
  const { from, to } = readBanner(text);
  return from !== undefined && to !== undefined && to <= from;
}
