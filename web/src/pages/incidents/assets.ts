// What an incident is about, gathered from its alerts.
import type { Incident } from '../../api/types';

export interface DeviceOf { id: string; name: string; platform: string; risk: string; health: string; group: string; alerts: number }

/** The devices of an incident, those with most alerts first. */
export function devicesOf(i: Incident): DeviceOf[] {
  const found = new Map<string, DeviceOf>();
  for (const a of i.alerts) {
    for (const d of a.devices) {
      const known = found.get(d.mdatpDeviceId);
      if (known) known.alerts++;
      else found.set(d.mdatpDeviceId, { id: d.mdatpDeviceId, name: d.deviceDnsName ?? d.mdatpDeviceId, platform: d.osPlatform ?? '', risk: d.riskScore ?? '', health: d.healthStatus ?? '', group: d.rbacGroupName ?? '', alerts: 1 });
    }
  }
  return [...found.values()].sort((a, b) => b.alerts - a.alerts);
}

/** The users of an incident, as domain\name where there is a domain. */
export function usersOf(i: Incident): string[] {
  const found = new Map<string, number>();
  for (const a of i.alerts) {
    for (const e of a.entities) {
      if (e.entityType !== 'User' || !e.accountName) continue;
      const name = e.domainName ? `${e.domainName}\\${e.accountName}` : e.accountName;
      found.set(name, (found.get(name) ?? 0) + 1);
    }
  }
  return [...found].sort((a, b) => b[1] - a[1]).map(([n]) => n);
}
