// The entities of asking an expert.
import type { components } from '../../api/schema';

export type Case = components['schemas']['case'];
export type Receiver = components['schemas']['receiver'];

export const receiversPath = '/api/vedette/expert/receivers';

/** Where a receiver gets its cases. */
export const reach = (r: Receiver): string => r.webhookUrl || r.mail.join(', ');

/** A number of bytes for people. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} bytes`;
  const unit = n < 1 << 20 ? 'KiB' : n < 1 << 30 ? 'MiB' : 'GiB';
  return `${(n / (unit === 'KiB' ? 1024 : unit === 'MiB' ? 1 << 20 : 1 << 30)).toFixed(1)} ${unit}`;
}
