import { lazy, Suspense, type ReactNode } from 'react';
import type { ChartSpec } from './EChart';
import { Waiting } from './states';

const EChart = lazy(() => import('./EChart'));

/** A chart. The library that draws comes when the first one is shown. What it shows is told in words by `label`, and
 *  as a table to those who cannot see it, when `table` is given. */
export function Chart({ label, spec, height = 220, onPick, table }: { label: string; spec: ChartSpec; height?: number; onPick?: (name: string, series: string) => void; table?: ReactNode }) {
  return (
    <div style={{ height, minWidth: 0 }} role="group" aria-label={label}>
      <Suspense fallback={<Waiting label="Drawing" />}><EChart label={label} spec={spec} onPick={onPick} /></Suspense>
      {table && <div className="unseen">{table}</div>}
    </div>
  );
}
