// How a rule stands at one of its destinations, from what the API says of it.
import type { ActivityDestination, Drift, Execution, Policy, Registry } from "../api/client";
import { isTime } from "../words/format";
import { destinationsOf } from "./replications/fields";

export type StandingState = "failing" | "held" | "behind" | "unknown" | "running" | "inSync" | "deactivated";

export interface Standing {
  key: string;
  policy: Policy;
  registryID: number;
  registryName: string;
  state: StandingState;
  unhealthy?: string; // why the registry is
  lastFailed?: Execution;
  failingReason: string; // why what was done there last did not succeed
  failingTime: string | undefined;
  held: number; // the execution whose deletions wait to be released; 0: none does
  drift: number; // references that are not as the rule wants
  known: number; // references that are in sync
  waiting: number; // tasks that are not done
  oldest: string | undefined; // since when the oldest event waits
  verified: string | undefined;
  checking: boolean;
  checkError: string;
}

export function standings(policy: Policy, drift: Drift | undefined, latest: Execution | undefined, registries: Registry[], activity: ActivityDestination[]): Standing[] {
  const reasonOf = (id: number) => {
    const registry = registries.find((r) => r.id === id);
    return registry?.status === "unhealthy" ? registry.status_reason ?? "" : undefined;
  };
  const destinations = destinationsOf(policy);
  return destinations.map(({ id, name }) => {
    const unhealthy = reasonOf(id);
    const now = activity.find((d) => d.policy_id === policy.id && d.registry_id === id);
    const counts = (drift?.counts ?? []).filter((c) => c.registry_id === id);
    // An execution is of all destinations: it fails for the one that is down, not for its neighbours.
    const lastFailed = latest?.status === "Failed" && (destinations.length === 1 || now?.failing === true) ? latest : undefined;
    const standing = {
      key: `${policy.id} ${id}`, policy, registryID: id, registryName: name,
      ...(unhealthy !== undefined && { unhealthy }), ...(lastFailed !== undefined && { lastFailed }),
      drift: counts.reduce((sum, c) => sum + c.drift, 0),
      known: counts.filter((c) => c.state === "in_sync").reduce((sum, c) => sum + c.count, 0),
      failingReason: now?.failing === true ? now.failing_reason ?? "" : "", failingTime: now?.failing === true ? now.failing_time ?? undefined : undefined,
      held: now?.held_execution_id ?? 0, waiting: now?.waiting ?? 0, oldest: now?.oldest_waiting_time ?? undefined,
      verified: drift?.check.end_time,
      checking: drift !== undefined && (drift.check.running > 0 || drift.check.asked > drift.check.done),
      checkError: drift?.check.error ?? "",
    };
    return { ...standing, state: stateOf(policy, standing, drift, latest) };
  });
}

function stateOf(policy: Policy, s: Omit<Standing, "state">, drift: Drift | undefined, latest: Execution | undefined): StandingState {
  if (policy.enabled !== true) return "deactivated";
  if (s.unhealthy !== undefined || s.lastFailed !== undefined || s.failingTime !== undefined) return "failing";
  if (s.held !== 0) return "held";
  if ((s.waiting > 0 && latest?.status !== "Failed") || latest?.status === "InProgress") return "running";
  if (s.drift > 0) return "behind";
  // Of several destinations one may be in sync while another is not; then the verification
  // has told of each of them.
  const verified = isTime(s.verified) && s.checkError === "";
  if (drift?.in_sync === true || (verified && (drift?.drift ?? 0) > 0 && s.known > 0)) return "inSync";
  return "unknown";
}
