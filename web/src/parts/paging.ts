import type { TablePaginationConfig } from "antd";
import { useCallback } from "react";
import { useSearchParams } from "react-router";
import { useWords } from "../words";
import { pageSizes } from "./page";

/** Reads and changes what stands behind the ? of the address: what is shown can be linked to. */
export function useAddress(): [URLSearchParams, (changes: Record<string, string | number | undefined>) => void] {
  const [parameters, setParameters] = useSearchParams();
  const change = useCallback((changes: Record<string, string | number | undefined>) => {
    setParameters(() => {
      // What the browser shows now: a button may know an older address.
      const after = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === undefined || value === "") after.delete(name);
        else after.set(name, String(value));
      }
      return after;
    }, { replace: true });
  }, [setParameters]);
  return [parameters, change];
}

export function numberIn(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name);
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The foot of a table, in Harbor's form. */
export function usePagination(page: number, size: number, total: number | undefined, change: (page: number, size: number) => void): TablePaginationConfig {
  const words = useWords();
  return {
    current: page, pageSize: size, total: total ?? 0, onChange: change, size: "small", showSizeChanger: { showSearch: false, "aria-label": words.common.pageSize },
    pageSizeOptions: pageSizes, responsive: true, showTotal: (n, [from, to]) => words.common.total(from, to, n),
  };
}
