import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './client';

/** Whether another try may help: what the server refused, it refuses again. */
function worthATry(failures: number, e: unknown): boolean {
  return failures < 2 && e instanceof ApiError && (e.status === 0 || e.status === 503 || e.status === 504);
}

/** The cache of everything that was read. Pages share it by query keys, which begin with the noun. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: { staleTime: 15_000, gcTime: 5 * 60_000, retry: worthATry, refetchOnWindowFocus: true },
    mutations: { retry: false },
  },
});
