/** The address of a repository's artifacts, as Harbor has it: its name without the project's. */
export function repositoryPath(project: number | undefined, fullName: string): string {
  return `/harbor/projects/${project}/repositories/${encodeURIComponent(fullName.slice(fullName.indexOf("/") + 1))}/artifacts-tab`;
}
