export const banner = {
  type: "Message type",
  types: { success: "Success", info: "Info", warning: "Warning", danger: "Danger" },
  closable: "Closable",
  from: "From",
  to: "To",
  order: "The banner would end before it begins.",
};
