// How many there are of something.
export const n0 = (n: number) => new Intl.NumberFormat("en").format(n);
export const count = (n: number, one: string, many: string) => `${n0(n)} ${n === 1 ? one : many}`;
