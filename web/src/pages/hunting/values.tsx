// Cells of results: what a column is about, where it leads, and how it is asked for.
import type { ReactNode } from 'react';
import { datetime, literal } from '../../api/hunt';
import { stringify } from '../../api/json';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import type { Cells, ResultColumn, Value } from './api';

export const isTime = (c: ResultColumn): boolean => /^DateTime$/i.test(c.Type);
export const isText = (c: ResultColumn): boolean => /^String$/i.test(c.Type);

/** A value as text. */
export function shown(v: Value | undefined): string {
  if (v === null || v === undefined) return '';
  return typeof v === 'object' ? stringify(v) : String(v);
}

/** Where a value leads by the name of its column; '' for nowhere. */
export function address(name: string, value: string): string {
  if (value === '') return '';
  if (/^(MachineId|DeviceId)$/i.test(name) && /^[0-9a-f]{40}$/i.test(value)) return at.device(value);
  if (/SHA(1|256)$/i.test(name) && /^[0-9a-f]{40,64}$/i.test(value)) return at.file(value);
  if (/(Remote|Local|Public|File(Origin)?)?IP$/.test(name) && /^[0-9a-f.:]+$/i.test(value)) return at.ip(value);
  if (/^(RemoteUrl|FileOriginUrl)$/.test(name)) {
    const host = value.replace(/^\w+:\/\//, '').split(/[/:?#]/)[0];
    return /^[\w.-]+\.[a-z]{2,}$/i.test(host) ? at.domain(host) : '';
  }
  if (/AccountName$/.test(name)) return at.user(value);
  if (name === 'AlertId') return at.alert(value);
  if (name === 'CveId') return at.vulnerability(value);
  return '';
}

/** A cell. DeviceName leads to the device when the row says which one. */
export function cell(columns: ResultColumn[], row: Cells, i: number): ReactNode {
  const c = columns[i];
  const text = shown(row[i]);
  if (text === '') return '';
  if (isTime(c)) return <Time at={text} />;
  let to = address(c.Name, text);
  if (/^(DeviceName|ComputerName)$/.test(c.Name)) {
    const id = columns.findIndex((x) => /^(DeviceId|MachineId)$/.test(x.Name));
    if (id >= 0 && row[id]) to = at.device(String(row[id]));
  }
  return to ? <Go to={to}>{text}</Go> : text;
}

export type Test = '==' | '!=' | 'contains' | 'startswith' | 'endswith';

/** A line of KQL that keeps rows by one value. Whatever the value holds, it is a literal. */
export function condition(c: ResultColumn, v: Value | undefined, test: Test): string {
  const name = /^[A-Za-z_]\w*$/.test(c.Name) ? c.Name : `[${literal(c.Name)}]`;
  const text = shown(v);
  if (test === '==' || test === '!=') {
    if (isTime(c)) return v ? `| where ${name} ${test} ${datetime(text)}` : `| where ${test === '==' ? 'isnull' : 'isnotnull'}(${name})`;
    if (isText(c)) return `| where ${name} ${test} ${literal(text)}`;
    if (v === null || v === undefined) return `| where ${test === '==' ? 'isnull' : 'isnotnull'}(${name})`;
    if (typeof v === 'object') return `| where tostring(${name}) ${test} ${literal(text)}`;
    if (/^(Guid|TimeSpan)$/i.test(c.Type)) return `| where tostring(${name}) ${test} ${literal(text)}`;
    return `| where ${name} ${test} ${text}`;
  }
  return `| where ${isText(c) ? name : `tostring(${name})`} ${test} ${literal(text)}`;
}
