// How a rule stands at one of its destinations, from what the API says of it.
import type { Drift, Execution, Policy, Registry } from "../api/client";
import { isTime } from "../words/format";
import { destinationsOf } from "./replications/fields";

export type StandingState = "failing" | "behind" | "unknown" | "running" | "inSync" | "deactivated";

export interface Standing {
  key: string;
  policy: Policy;
  registryID: number;
  registryName: string;
  state: StandingState;
  unhealthy?: string; // why the registry is
  lastFailed?: Execution;
  drift: number; // references that are not as the rule wants
  known: number; // references that are in sync
  waiting: number; // tasks of the rule, for all its destinations
  verified: string | undefined;
  checking: boolean;
  checkError: string;
}

export function standings(policy: Policy, drift: Drift | undefined, latest: Execution | undefined, registries: Registry[]): Standing[] {
  const reasonOf = (id: number) => {
    const registry = registries.find((r) => r.id === id);
    return registry?.status === "unhealthy" ? registry.status_reason ?? "" : undefined;
  };
  const destinations = destinationsOf(policy);
  return destinations.map(({ id, name }) => {
    const unhealthy = reasonOf(id);
    const counts = (drift?.counts ?? []).filter((c) => c.registry_id === id);
    // An execution is of all destinations: it fails for the one that is down, not for its neighbours.
    const elsewhere = unhealthy === undefined && destinations.some((d) => reasonOf(d.id) !== undefined);
    const lastFailed = latest?.status === "Failed" && !elsewhere ? latest : undefined;
    const standing = {
      key: `${policy.id} ${id}`, policy, registryID: id, registryName: name,
      ...(unhealthy !== undefined && { unhealthy }), ...(lastFailed !== undefined && { lastFailed }),
      drift: counts.reduce((sum, c) => sum + c.drift, 0),
      known: counts.filter((c) => c.state === "in_sync").reduce((sum, c) => sum + c.count, 0),
      waiting: drift?.waiting ?? 0,
      verified: drift?.check.end_time,
      checking: drift !== undefined && (drift.check.running > 0 || drift.check.asked > drift.check.done),
      checkError: drift?.check.error ?? "",
    };
    return { ...standing, state: stateOf(policy, standing, drift, latest) };
  });
}

function stateOf(policy: Policy, s: Omit<Standing, "state">, drift: Drift | undefined, latest: Execution | undefined): StandingState {
  if (policy.enabled !== true) return "deactivated";
  if (s.unhealthy !== undefined || s.lastFailed !== undefined) return "failing";
  if ((s.waiting > 0 && latest?.status !== "Failed") || latest?.status === "InProgress") return "running";
  if (s.drift > 0) return "behind";
  // Of several destinations one may be in sync while another is not; then the verification
  // has told of each of them.
  const verified = isTime(s.verified) && s.checkError === "";
  if (drift?.in_sync === true || (verified && (drift?.drift ?? 0) > 0 && s.known > 0)) return "inSync";
  return "unknown";
}
