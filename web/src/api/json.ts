// JSON whose whole numbers may have 64 bits: those that a number of the browser cannot hold exactly are bigints here.

type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown;

const exact: Reviver = (_, value, context) => (
  typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value);

/** Reads JSON. Only a text with a long run of digits takes the slower way that keeps numbers exact. */
export const parse = (text: string): unknown => (/(?:^|[[,:\s])-?\d{16}/.test(text) ? JSON.parse(text, exact as (key: string, value: unknown) => unknown) : JSON.parse(text));

const mark = '\u0000exactly:';

/** Writes JSON, exact numbers as numbers. */
export function stringify(value: unknown, indent?: number): string {
  let some = false;
  const text = JSON.stringify(value, (_, v: unknown) => {
    if (typeof v !== 'bigint') return v;
    some = true;
    return mark + v.toString();
  }, indent) as string;
  return some ? text.replace(/"\\u0000exactly:(-?\d+)"/g, '$1') : text;
}
