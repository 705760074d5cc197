// 数量。
export const n0 = (n: number) => new Intl.NumberFormat("zh-CN").format(n);
