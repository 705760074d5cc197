// What a rule can say beyond Harbor's: folded, so that Harbor's form stays what it is.
import { DownOutlined, RightOutlined } from "@ant-design/icons";
import { Button, Form, Typography } from "antd";
import { lazy, Suspense, useEffect, useState } from "react";
import { Loading } from "../../parts/loading";
import { useTongue } from "../../words";
import { moreCount, type RuleFields } from "./fields";

const Fields = lazy(() => import("./moreFields"));

export function More({ open, toggle }: { open: boolean; toggle: (open: boolean) => void }) {
  const { words } = useTongue();
  const form = Form.useFormInstance<RuleFields>();
  const set = Form.useWatch((fields: RuleFields) => moreCount({ ...form.getFieldsValue(true), ...fields } as RuleFields), { form, preserve: true }) ?? 0;
  const [seen, setSeen] = useState(open); // fields that nobody has looked at are as they were
  useEffect(() => { if (open) setSeen(true); }, [open]);
  return (
    <div className="more" data-testid="more">
      <Button type="text" block icon={open ? <DownOutlined /> : <RightOutlined />} aria-expanded={open} aria-controls="more-fields" onClick={() => toggle(!open)} style={{ justifyContent: "flex-start" }}>
        <span><strong>{words.more.title}</strong> <Typography.Text type="secondary">({words.more.set(set)})</Typography.Text></span>
      </Button>
      <div id="more-fields" className="more-fields" hidden={!open}>
        {(open || seen) && <><Typography.Paragraph type="secondary">{words.more.intro}</Typography.Paragraph><Suspense fallback={<Loading />}><Fields /></Suspense></>}
      </div>
    </div>
  );
}
