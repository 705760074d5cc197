// What robots can be allowed, of that which this server has, and how the API writes it.
import type { RobotPermission } from "../../api/client";

export const projectRights: Record<string, string[]> = {
  repository: ["list", "read", "pull", "push", "update", "delete"],
  artifact: ["list", "read", "create", "delete"],
  "artifact-addition": ["read"],
  "artifact-label": ["create", "delete"],
  tag: ["list", "create", "delete"],
  accessory: ["list"],
  label: ["list", "read", "create", "update", "delete"],
  log: ["list"],
  member: ["list", "read", "create", "update", "delete"],
  metadata: ["list", "read", "create", "update", "delete"],
  project: ["read", "update", "delete"],
};

export const systemRights: Record<string, string[]> = {
  project: ["list", "create"],
  registry: ["list", "read", "create", "update", "delete"],
  "replication-policy": ["list", "read", "create", "update", "delete"],
  replication: ["list", "read", "create"],
  "replication-adapter": ["list"],
  label: ["read", "create", "update", "delete"],
  robot: ["list", "read", "create", "delete"],
  user: ["list", "read", "create", "update", "delete"],
  "audit-log": ["list"],
  catalog: ["read"],
  "system-volumes": ["read"],
};

/** "repository:pull" for each access of one part of a robot's permissions. */
export function rightsOf(permission: RobotPermission | undefined): string[] {
  return (permission?.access ?? []).map((a) => `${a.resource ?? ""}:${a.action ?? ""}`);
}

export const isSystem = (p: RobotPermission) => p.kind === "system";

/** Whether each project of a robot has the same permissions, so that one table can show them. */
export function sameEverywhere(permissions: RobotPermission[]): boolean {
  const [first, ...others] = permissions.filter((p) => !isSystem(p)).map((p) => [...rightsOf(p)].sort().join());
  return others.every((o) => o === first);
}

/** Whether something is allowed or denied that the tables do not show. */
export function hasDenials(permissions: RobotPermission[]): boolean {
  return permissions.some((p) => p.access?.some((a) => a.effect === "deny"));
}

export function permissionsFor(namespaces: string[], inProjects: string[], inSystem: string[]): RobotPermission[] {
  const access = (rights: string[]) => rights.map((right) => ({ resource: right.slice(0, right.indexOf(":")), action: right.slice(right.indexOf(":") + 1) }));
  return [
    ...(inProjects.length > 0 ? namespaces.map((namespace) => ({ kind: "project", namespace, access: access(inProjects) })) : []),
    ...(inSystem.length > 0 ? [{ kind: "system", namespace: "/", access: access(inSystem) }] : []),
  ];
}
