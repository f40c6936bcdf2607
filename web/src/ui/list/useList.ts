import { infiniteQueryOptions, keepPreviousData, useInfiniteQuery, type InfiniteData } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import { get, type List, type Params } from '../../api/client';

export interface ListQuery {
  path: string;
  filter?: string;
  orderby?: string;
  params?: Params;
  /** Rows of a page; 200 when it is not said. */
  page?: number;
  /** Milliseconds between looks at what changed; not by itself when it is not said. */
  every?: number;
  enabled?: boolean;
}

/** How a list is asked for. Its key begins with its path, by which changes of one thing make every list of it stale. */
export function listOptions<T>(q: ListQuery) {
  const size = q.page ?? 200;
  return infiniteQueryOptions<List<T>, Error, InfiniteData<List<T>, number>, unknown[], number>({
    queryKey: [q.path, q.filter ?? '', q.orderby ?? '', size, q.params ?? {}],
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => get<List<T>>(q.path, {
      ...q.params, $filter: q.filter, $orderby: q.orderby, $top: size, $skip: pageParam || undefined, $count: pageParam === 0 ? true : undefined,
    }, { signal }),
    getNextPageParam: (last, all) => (last.value.length < size ? undefined : all.reduce((n, l) => n + l.value.length, 0)),
  });
}

/** A list of the public API that grows as somebody scrolls. */
export function useList<T>(q: ListQuery) {
  const found = useInfiniteQuery({ ...listOptions<T>(q), enabled: q.enabled ?? true, refetchInterval: q.every, placeholderData: keepPreviousData });
  const rows = useMemo(() => found.data?.pages.flatMap((p) => p.value) ?? [], [found.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = found;
  const more = useCallback(() => { if (hasNextPage && !isFetchingNextPage) void fetchNextPage(); }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  return { ...found, rows, more, total: found.data?.pages[0]?.['@odata.count'] ?? rows.length };
}
