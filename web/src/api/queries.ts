// What pages read, each under one key: what changes is told to the keys (events.ts).
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, ApiError, must, mustPage } from "./client";

const all = { page_size: 0 };

export const queries = {
  user: () => queryOptions({ queryKey: ["user"], queryFn: () => must(api.GET("/users/current")), retry: false, staleTime: Infinity }),
  system: () => queryOptions({ queryKey: ["system"], queryFn: () => must(api.GET("/systeminfo")) }),

  registries: () => queryOptions({
    queryKey: ["registries"], queryFn: () => must(api.GET("/registries", { params: { query: all } })),
  }),
  providers: () => queryOptions({
    queryKey: ["providers"], staleTime: Infinity,
    queryFn: async () => ({
      types: await must(api.GET("/replication/adapters")),
      infos: await must(api.GET("/replication/adapterinfos")),
    }),
  }),
  registryInfo: (id: number) => queryOptions({
    queryKey: ["registry-info", id], queryFn: () => must(api.GET("/registries/{id}/info", { params: { path: { id } } })),
  }),

  policies: () => queryOptions({
    queryKey: ["policies"], queryFn: () => must(api.GET("/replication/policies", { params: { query: all } })),
  }),
  policy: (id: number) => queryOptions({
    queryKey: ["policies", id], queryFn: () => must(api.GET("/replication/policies/{id}", { params: { path: { id } } })),
  }),
  activity: () => queryOptions({
    queryKey: ["activity"], queryFn: () => must(api.GET("/replication/activity")),
  }),
  schedule: (cron: string, zone: string) => queryOptions({
    queryKey: ["schedule", cron, zone], retry: false,
    queryFn: () => must(api.GET("/replication/schedule", { params: { query: { cron, time_zone: zone } } })),
  }),
  homeRepositories: () => queryOptions({
    queryKey: ["home-repositories"], staleTime: 60_000, retry: false,
    queryFn: () => must(api.GET("/repositories", { params: { query: { page_size: 100 } } })),
  }),
  drift: (id: number, filter: { state?: string; registry_id?: number; drift_only?: boolean; page: number; page_size: number }) => queryOptions({
    queryKey: ["drift", id, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/replication/policies/{id}/drift", { params: { path: { id }, query: filter } })),
  }),

  executions: (filter: { policy_id: number; status?: string; trigger?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["executions", filter.policy_id, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/replication/executions", { params: { query: filter } })),
  }),
  execution: (id: number) => queryOptions({
    queryKey: ["execution", id], queryFn: () => must(api.GET("/replication/executions/{id}", { params: { path: { id } } })),
  }),
  tasks: (id: number, filter: { status?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["tasks", id, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/replication/executions/{id}/tasks", { params: { path: { id }, query: filter } })),
  }),
  labels: () => queryOptions({
    queryKey: ["labels"], queryFn: () => must(api.GET("/labels", { params: { query: { scope: "g", page_size: 100 } } })),
  }),

  /** What the user may do in a project, as "resource:action". */
  rights: (project: number) => queryOptions({
    queryKey: ["rights", project], staleTime: 60_000,
    queryFn: async () => {
      const all = await must(api.GET("/users/current/permissions", { params: { query: { scope: `/project/${project}`, relative: true } } }));
      return new Set(all.map((p) => `${p.resource === "." ? "project" : p.resource}:${p.action}`));
    },
  }),
  projects: (filter: { name?: string; public?: boolean; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["projects", filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/projects", { params: { query: filter } })),
  }),
  project: (id: number) => queryOptions({
    queryKey: ["project", id], queryFn: () => must(api.GET("/projects/{project_name_or_id}", { params: { path: { project_name_or_id: String(id) } } })),
  }),
  members: (project: number) => queryOptions({
    queryKey: ["members", project],
    queryFn: () => must(api.GET("/projects/{project_name_or_id}/members", { params: { path: { project_name_or_id: String(project) }, query: all } })),
  }),
  userNames: (text: string) => queryOptions({
    queryKey: ["user-names", text], placeholderData: keepPreviousData, enabled: text !== "",
    queryFn: () => must(api.GET("/users/search", { params: { query: { username: text, page: 1, page_size: 20 } } })),
  }),
  repositories: (project: string, filter: { q?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["repositories", project, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/projects/{project_name}/repositories", { params: { path: { project_name: project }, query: filter } })),
  }),
  repository: (project: string, name: string) => queryOptions({
    queryKey: ["repository", project, name],
    queryFn: () => must(api.GET("/projects/{project_name}/repositories/{repository_name}", { params: { path: { project_name: project, repository_name: name } } })),
  }),
  artifacts: (project: string, repository: string, filter: { q?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["artifacts", project, repository, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/projects/{project_name}/repositories/{repository_name}/artifacts", {
      params: { path: { project_name: project, repository_name: repository }, query: { ...filter, ...withAll } },
    })),
  }),
  artifact: (project: string, repository: string, reference: string) => queryOptions({
    queryKey: ["artifacts", project, repository, reference],
    queryFn: () => must(api.GET("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}", {
      params: { path: { project_name: project, repository_name: repository, reference }, query: withAll },
    })),
  }),
  history: (project: string, repository: string, reference: string) => queryOptions({
    queryKey: ["history", project, repository, reference], staleTime: Infinity,
    queryFn: () => must(api.GET("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/additions/{addition}", {
      params: { path: { project_name: project, repository_name: repository, reference, addition: "build_history" } },
    })),
  }),
  /** A few projects and repositories with a text in their names. */
  search: (text: string) => queryOptions({
    queryKey: ["search", text], enabled: text !== "",
    queryFn: async () => {
      const few = { page: 1, page_size: 8 };
      const [projects, repositories] = await Promise.all([
        must(api.GET("/projects", { params: { query: { ...few, name: text } } })),
        must(api.GET("/repositories", { params: { query: { ...few, q: contains("name", text), sort: "name" } } })),
      ]);
      return { projects, repositories };
    },
  }),
  labelsOf: (project: number, filter: { name?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["labels", project, filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/labels", { params: { query: { ...(project === 0 ? { scope: "g" } : { scope: "p", project_id: project }), ...filter } } })),
  }),
  projectLabels: (project: number) => queryOptions({
    queryKey: ["labels", project], queryFn: () => must(api.GET("/labels", { params: { query: { scope: "p", project_id: project, page_size: 100 } } })),
  }),

  settings: () => queryOptions({ queryKey: ["settings"], queryFn: () => must(api.GET("/configurations")) }),
  logs: (filter: { q?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["logs", filter], placeholderData: keepPreviousData, staleTime: 0, // nothing tells that it is old before it is shown
    queryFn: async () => ({ ...(await mustPage(api.GET("/auditlog-exts", { params: { query: filter } }))), q: filter.q ?? "" }),
  }),
  logRecording: () => queryOptions({ queryKey: ["log-recording"], staleTime: 0, queryFn: () => must(api.GET("/auditlog-exts/recording")) }),
  logKinds: () => queryOptions({ queryKey: ["log-kinds"], staleTime: Infinity, queryFn: () => must(api.GET("/auditlog-exts/events")) }),
  users: (filter: { q?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["users", filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/users", { params: { query: filter } })),
  }),
  robots: (filter: { q?: string; sort?: string; page: number; page_size: number }) => queryOptions({
    queryKey: ["robots", filter], placeholderData: keepPreviousData,
    queryFn: () => mustPage(api.GET("/robots", { params: { query: filter } })),
  }),
  robot: (id: number) => queryOptions({ queryKey: ["robots", id], queryFn: () => must(api.GET("/robots/{robot_id}", { params: { path: { robot_id: id } } })) }),

  storage: () => queryOptions({ queryKey: ["storage"], queryFn: () => must(api.GET("/storage")) }),
  storageMigration: () => queryOptions({ queryKey: ["storage-migration"], queryFn: () => orNull(must(api.GET("/storage/migration"))) }),
  storagePreflight: () => queryOptions({ queryKey: ["storage-preflight"], queryFn: () => orNull(must(api.GET("/storage/preflight"))) }),
  storageUsage: () => queryOptions({ queryKey: ["storage-usage"], queryFn: () => must(api.GET("/storage/usage")) }),
  storageChecks: () => queryOptions({ queryKey: ["storage-checks"], queryFn: () => must(api.GET("/storage/fsck")) }),
  storageFindings: (id: number, filter: { severity?: string; kind?: string; repository?: string; page: number; page_size: number }, running: boolean) => queryOptions({
    // What a check has found does not change after its end, and is renewed with its progress before.
    queryKey: ["storage-findings", id, running, filter], placeholderData: keepPreviousData, staleTime: running ? 0 : Infinity,
    queryFn: () => mustPage(api.GET("/storage/fsck/{id}/findings", { params: { path: { id }, query: filter } })),
  }),
};

/** What there may be none of: that is no failure. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

const withAll = { with_label: true, with_accessory: true, with_replication: true };

/** A condition that a name contains a text: what no name can contain finds nothing. */
export function contains(field: string, text: string): string {
  return `${field}=~${text.replace(/[^\w./:@-]/g, "*")}`;
}
