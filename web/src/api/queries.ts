// What pages read, each under one key: what changes is told to the keys (events.ts).
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, must, mustPage } from "./client";

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
};
