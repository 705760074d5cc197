export const log = {
  title: (id: number) => `Log of task ${id}`,
  follow: "Follow",
  following: "New lines appear by themselves.",
  ended: "The task is done.",
  empty: "Nothing was logged yet.",
  lost: "The log cannot be read at the moment; it is tried again by itself.",
  raw: "Open as text",
  filter: "Filter lines",
};
