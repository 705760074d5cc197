// Beside the form of a rule: what it matches now and where that goes, while one types.
import { Checkbox, theme, Typography } from "antd";
import { lazy, Suspense } from "react";
import { ApiError } from "../../api/client";
import { plainly } from "../../api/plan";
import { Failure } from "../../parts/failure";
import { useTongue } from "../../words";
import { fieldError } from "./fields";
import type { Preview } from "./usePreview";

const PlanView = lazy(() => import("./planView"));

interface Props {
  preview: Preview;
  bytes: boolean;
  setBytes: (bytes: boolean) => void;
}

export function PreviewPane({ preview, bytes, setBytes }: Props) {
  const { words } = useTongue();
  const { token } = theme.useToken();
  return (
    <section className="preview" aria-label={words.plan.preview} data-testid="preview" style={{ background: token.colorFillQuaternary, border: `1px solid ${token.colorBorderSecondary}` }}>
      <Typography.Title level={2} style={{ fontSize: 16, marginTop: 0 }}>{words.plan.preview}</Typography.Title>
      <Typography.Paragraph type="secondary" className="cell-sub">{words.plan.previewText}</Typography.Paragraph>
      {preview.missing.length > 0 && (
        <div aria-live="polite">
          {words.plan.incomplete}
          <ul style={{ margin: "4px 0", paddingInlineStart: 20 }}>{preview.missing.map((what) => <li key={what}>{words.plan.needs[what]}</li>)}</ul>
        </div>
      )}
      {preview.error !== undefined && <PlanFailure error={preview.error} />}
      {preview.plan !== undefined && <Suspense fallback={null}><PlanView plan={preview.plan} running={preview.running} /></Suspense>}
      {preview.missing.length === 0 && <Checkbox checked={bytes} onChange={(e) => setBytes(e.target.checked)} style={{ marginTop: 12 }}>{words.plan.countBytes}</Checkbox>}
    </section>
  );
}

/** Why there is no plan; of a mistake in the form, where it is. */
function PlanFailure({ error }: { error: unknown }) {
  const { words } = useTongue();
  if (!(error instanceof ApiError)) return <Failure title={words.plan.failed} error={error} />;
  const text = plainly(error.message);
  const wrong = fieldError(text);
  const label = wrong === undefined ? undefined : (words.more as unknown as Record<string, string>)[wrong.field];
  return <Failure title={label === undefined ? words.plan.failed : `${words.plan.failed}: ${label}`} error={new ApiError(error.status, error.code, wrong?.text ?? text)} />;
}
