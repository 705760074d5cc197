export const cron = {
  fields: (n: number) => `A cron string has six fields; there ${n === 1 ? "is" : "are"} ${n}.`,
  second: "The 1st field must be 0.",
  minute: 'The 2nd field can not be "*": the rule would start every minute.',
  bad: (field: string) => `The field “${field}” cannot be understood.`,
};
