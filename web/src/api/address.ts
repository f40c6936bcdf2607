import { shown } from './text';

/** Parameters of an address are texts, exactly as they stand there: nothing is taken for JSON. */
export const parameters = (text: string): Record<string, string> => Object.fromEntries([...new URLSearchParams(text)].map(([name, value]) => [name, shown(value)]));
