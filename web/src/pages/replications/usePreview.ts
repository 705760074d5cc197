// What the rule in the form would do now, asked anew whenever the form says something else.
import { Form, type FormInstance } from "antd";
import { useEffect, useState } from "react";
import { api, mustStream, type Policy } from "../../api/client";
import { emptyPlan, readPlan, type PlanSoFar } from "../../api/plan";
import { useLater } from "../../parts/useLater";
import { namespaceForm, policyOf, type RuleFields } from "./fields";
import { isPattern } from "./pattern";

export interface Preview {
  missing: string[]; // what the form lacks, by the words of plan.needs
  running: boolean;
  plan: PlanSoFar | undefined;
  error: unknown;
}

export function useRulePreview(form: FormInstance<RuleFields>, before: Policy | undefined, bytes: boolean): Preview {
  const asked = Form.useWatch(() => question(form.getFieldsValue(true) as RuleFields, before), { form, preserve: true }) ?? "";
  const text = useLater(asked, 500);
  const [answer, setAnswer] = useState<Omit<Preview, "missing">>({ running: false, plan: undefined, error: undefined });
  const complete = text.startsWith("{");
  useEffect(() => {
    if (!complete) {
      setAnswer({ running: false, plan: undefined, error: undefined });
      return;
    }
    const stop = new AbortController();
    setAnswer({ running: true, plan: emptyPlan(), error: undefined });
    const show = (plan: PlanSoFar) => setAnswer({ running: true, plan, error: undefined });
    mustStream(api.POST("/replication/plan", { params: { query: { bytes } }, body: JSON.parse(text) as Policy, parseAs: "stream", signal: stop.signal }))
      .then((body) => readPlan(body, stop.signal, show))
      .then(() => { if (!stop.signal.aborted) setAnswer((now) => ({ ...now, running: false })); })
      .catch((error: unknown) => { if (!stop.signal.aborted) setAnswer({ running: false, plan: undefined, error }); });
    return () => stop.abort(); // the server ends its work when nobody listens
  }, [text, complete, bytes]);
  const stale = asked !== text;
  return { ...answer, running: answer.running || (stale && complete), missing: complete || text === "" ? [] : text.split(" ") };
}

/** The rule to be planned, as JSON; or the words for what it lacks. What a plan does not depend on is always the same. */
function question(fields: RuleFields, before: Policy | undefined): string {
  if (fields.destinations === undefined) return ""; // the form is not there yet
  const missing = [
    ...(fields.mode === "pull" && fields.source === undefined ? ["source"] : []),
    ...(fields.destinations.length === 0 ? ["destination"] : []),
    ...([fields.filterName, fields.filterTag, ...fields.names, ...fields.excludeNames, ...fields.tags, ...fields.excludeTags].every(isPattern) ? [] : ["pattern"]),
    ...(namespaceForm.test(fields.namespace) ? [] : ["namespace"]),
  ];
  if (missing.length > 0) return missing.join(" ");
  const { id: _id, ...policy } = policyOf({ ...fields, name: "preview", description: "", trigger: fields.trigger === "event_based" ? "event_based" : "manual", speed: -1, chunk: false, enabled: true, single: false, includeExisting: false }, before);
  return JSON.stringify(policy);
}
