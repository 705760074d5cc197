// Tables of which the server has more than is shown: page, order and search are in the address.
import type { TablePaginationConfig } from "antd";
import { useEffect, useState } from "react";
import { numberIn, useAddress, usePagination } from "./paging";

const typingPause = 250; // milliseconds

export interface ServerTable {
  page: number;
  size: number;
  sort: string | undefined;
  search: string;
  address: URLSearchParams;
  setAddress: ReturnType<typeof useAddress>[1];
  /** Of the field to search with. */
  field: { defaultValue: string; onChange(e: { target: { value: string } }): void };
  pagination(total: number | undefined): TablePaginationConfig;
  /** The order of a column, for its sortOrder. */
  order(field: string): "ascend" | "descend" | null;
  onChange(pagination: unknown, filters: unknown, sorter: unknown): void;
}

export function useServerTable(): ServerTable {
  const [address, setAddress] = useAddress();
  const page = numberIn(address, "page") ?? 1;
  const size = numberIn(address, "page_size") ?? 15;
  const sort = address.get("sort") ?? undefined;
  const search = address.get("search") ?? "";
  const [timer] = useState<{ id?: ReturnType<typeof setTimeout> }>({});
  useEffect(() => () => clearTimeout(timer.id), [timer]);
  const pages = usePagination(page, size, 0, (p, s) => setAddress({ page: p === 1 ? undefined : p, page_size: s === 15 ? undefined : s }));
  return {
    page, size, sort, search, address, setAddress,
    field: {
      defaultValue: search,
      onChange: ({ target }) => {
        clearTimeout(timer.id);
        timer.id = setTimeout(() => setAddress({ search: target.value.trim(), page: undefined }), target.value === "" ? 0 : typingPause);
      },
    },
    pagination: (total) => ({ ...pages, total: total ?? 0 }),
    order: (field) => (sort === field ? "ascend" : sort === `-${field}` ? "descend" : null),
    onChange: (_, __, sorter) => {
      const { field, order } = (Array.isArray(sorter) ? sorter[0] : sorter) as { field?: string; order?: string | null };
      const wanted = order == null ? undefined : `${order === "descend" ? "-" : ""}${String(field)}`;
      if (wanted !== sort) setAddress({ sort: wanted, page: undefined });
    },
  };
}
