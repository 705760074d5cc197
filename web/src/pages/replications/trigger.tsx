// When a rule starts: by hand, on a schedule in words and with its next runs, or by events.
import { useQuery } from "@tanstack/react-query";
import { Alert, Checkbox, Form, Input, Select } from "antd";
import { useMemo } from "react";
import { queries } from "../../api/queries";
import { Said } from "../../parts/failure";
import { useLater } from "../../parts/useLater";
import { useTongue } from "../../words";
import { readCron } from "../../words/cron";

export function Trigger() {
  const { words, language, tag } = useTongue();
  const mode = Form.useWatch("mode") as string | undefined;
  const trigger = Form.useWatch("trigger") as string | undefined;
  const deletion = Form.useWatch("deletion") as boolean | undefined;
  const cron = Form.useWatch("cron") as string | undefined ?? "";
  const reading = readCron(cron, language, tag, words.cron);
  const zones = useMemo(() => [{ value: "", label: "UTC" }, ...Intl.supportedValuesOf("timeZone").filter((z) => z !== "UTC").map((value) => ({ value, label: value }))], []);
  return (
    <>
      <Form.Item name="trigger" label={words.rule.trigger}>
        <Select options={["manual", "scheduled", ...(mode === "pull" ? [] : ["event_based"])].map((value) => ({ value, label: words.rule.triggers[value] }))} />
      </Form.Item>
      {trigger === "scheduled" && (
        <div className="form-row">
          <Form.Item className="grow" name="cron" label={words.rule.cron} extra={
            <>
              {words.rule.cronTip}
              <span className="explain" aria-live="polite" data-testid="cron-words">{reading.text ?? ""}</span>
              {reading.error === undefined && <NextRuns cron={cron.trim()} />}
            </>
          } rules={[{ required: true, message: words.rule.required.cron }, {
            validator: (_, value: string) => {
              const { error } = readCron(value, language, tag, words.cron);
              return value.trim() === "" || error === undefined ? Promise.resolve() : Promise.reject(new Error(error));
            },
          }]}>
            <Input className="code" placeholder="0 30 2 * * *" spellCheck={false} />
          </Form.Item>
          <Form.Item className="grow" name="timeZone" label={words.rule.timeZone}><Select showSearch={{ optionFilterProp: "label" }} options={zones} /></Form.Item>
        </div>
      )}
      {trigger === "event_based" && (
        <>
          <Form.Item name="deletion" valuePropName="checked" extra={words.rule.deletionTip}><Checkbox>{words.rule.deletion}</Checkbox></Form.Item>
          {deletion === true && <Alert type="warning" showIcon title={words.rule.warnings.deletion} style={{ marginBottom: 24 }} />}
        </>
      )}
    </>
  );
}

/** The next runs as the server reckons them, in the zone of the rule. */
function NextRuns({ cron }: { cron: string }) {
  const { words, tag } = useTongue();
  const zone = Form.useWatch("timeZone") as string | undefined ?? "";
  const runs = useQuery(queries.schedule(useLater(cron, 400), zone));
  if (runs.error !== null) return <span className="explain"><Said text={runs.error.message} /></span>;
  if (runs.data === undefined) return null;
  const moment = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short", timeZone: zone === "" ? "UTC" : zone });
  const times = runs.data.next_run_times.slice(0, 3).map((t) => moment.format(new Date(t)));
  return <span className="explain" data-testid="next-runs">{words.rule.nextRuns(new Intl.ListFormat(tag, { type: "unit" }).format(times), zone === "" ? "UTC" : zone)}</span>;
}
