// Where an artifact is, from the address: Harbor's has the project's number and the
// repository's name without the project.
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { ApiError } from "../../api/client";
import { useLiveProject } from "../../api/events";
import { queries } from "../../api/queries";

export interface Place {
  id: number;
  project: string;
  repository: string; // without the project
  may(right: string): boolean;
}

interface Found {
  place: Place | undefined;
  missing: boolean; // there is no such project, or none that the user may see
  error: unknown; // null: none
  retry: () => void;
}

export function usePlace(): Found {
  const { id = "", name = "" } = useParams();
  const number = /^\d+$/.test(id) ? Number(id) : 0;
  useLiveProject(number);
  const project = useQuery({ ...queries.project(number), enabled: number > 0 });
  const rights = useQuery({ ...queries.rights(number), enabled: number > 0 });
  const retry = () => { void project.refetch(); void rights.refetch(); };
  const missing = number === 0 || project.error instanceof ApiError && [403, 404].includes(project.error.status);
  if (project.data === undefined || rights.data === undefined) return { place: undefined, missing, error: project.error ?? rights.error, retry };
  return {
    // Harbor's console encodes the slashes of names twice.
    place: { id: number, project: project.data.name ?? "", repository: name.replace(/%2F/gi, "/"), may: (right) => rights.data.has(right) },
    missing, error: null, retry,
  };
}

export function fullName(p: Place): string {
  return `${p.project}/${p.repository}`;
}

export function artifactsPath(p: Place): string {
  return `/harbor/projects/${p.id}/repositories/${encodeURIComponent(p.repository)}/artifacts-tab`;
}

export function artifactPath(p: Place, digest: string | undefined): string {
  return `${artifactsPath(p)}/artifacts/${digest}`;
}

/** What names an artifact in the API. */
export function at(p: Place, reference: string) {
  return { project_name: p.project, repository_name: p.repository, reference };
}
