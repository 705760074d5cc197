import { count } from "./count";

export const held = {
  state: "Waits to be released",
  title: "This execution does nothing before somebody releases it",
  listed: (n: number, repositories: number) => `It would delete ${count(n, "tag or artifact", "tags and artifacts")} in ${count(repositories, "repository", "repositories")}:`,
  place: (repository: string, registry: string) => `${repository} at ${registry}`,
  moreRepositories: (n: number) => `and what ${count(n, "more task lists", "more tasks list")} below`,
  moreTags: (n: number) => `and ${count(n, "more", "more")}`,
  release: "Release",
  releaseDo: "Delete them",
  releaseTitle: "Release the Deletions",
  releaseText: "What is listed is deleted at the destinations. What the source has again, or what stands for something else there by now, stays.",
  discard: "Discard",
  discardTitle: "Discard the Deletions",
  discardText: "Nothing is deleted: what is listed stays at the destinations, and nobody is asked about it again until the rule puts it there once more.",
  released: (n: number) => `Released: ${count(n, "task begins", "tasks begin")}.`,
  discarded: "Discarded: all of it stays.",
};
