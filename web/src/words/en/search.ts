export const search = {
  field: "Search projects and repositories",
  projects: "Projects",
  repositories: "Repositories",
  nothing: "Nothing has this in its name.",
};
