export const unsaved = {
  title: "Leave without saving?",
  text: "This would be lost:",
  leave: "Leave",
  stay: "Stay",
};
