// Evidence: what things an alert names, and what can be done about each.
import { Button, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger } from '@fluentui/react-components';
import { CopyRegular } from '@fluentui/react-icons/svg/copy';
import { MoreHorizontalRegular } from '@fluentui/react-icons/svg/more-horizontal';
import { literal } from '../../api/hunt';
import { post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import { at, hasPage, useGo } from '../../app/links';
import { useNotify } from '../../app/notices';
import { useConfirm } from '../../ui/confirm';

/** A thing by what names it. */
export interface Entity {
  kind: string;
  title: string;
  detail?: string;
  sha1?: string | null;
  sha256?: string | null;
  ip?: string | null;
  url?: string | null;
  user?: string | null;
  deviceId?: string | null;
  /** What is copied. */
  copy: string;
}

interface Raw {
  entityType: string; sha1?: string | null; sha256?: string | null; fileName?: string | null; filePath?: string | null; processId?: number | null; processCommandLine?: string | null;
  ipAddress?: string | null; url?: string | null; registryKey?: string | null; registryValue?: string | null; registryValueName?: string | null; accountName?: string | null; domainName?: string | null; userSid?: string | null; deviceId?: string | null;
}

/** Evidence as a thing. */
export function entityOf(e: Raw, deviceId?: string | null): Entity {
  const path = e.filePath ? `${e.filePath.replace(/[\\/]$/, '')}${e.filePath.includes('\\') ? '\\' : '/'}${e.fileName ?? ''}` : e.fileName ?? '';
  const base = { deviceId: deviceId ?? e.deviceId };
  switch (e.entityType) {
    case 'Process': return { ...base, kind: 'Process', title: e.fileName ?? `Process ${e.processId}`, detail: e.processCommandLine || path, sha1: e.sha1, sha256: e.sha256, copy: e.processCommandLine || path };
    case 'File': return { ...base, kind: 'File', title: e.fileName ?? e.sha1 ?? 'File', detail: path, sha1: e.sha1, sha256: e.sha256, copy: e.sha256 ?? e.sha1 ?? path };
    case 'Ip': return { ...base, kind: 'IP address', title: e.ipAddress ?? '', ip: e.ipAddress, copy: e.ipAddress ?? '' };
    case 'Url': return { ...base, kind: 'URL', title: e.url ?? '', url: e.url, copy: e.url ?? '' };
    case 'User': {
      const user = e.domainName ? `${e.domainName}\\${e.accountName}` : e.accountName ?? '';
      return { ...base, kind: 'User', title: user, detail: e.userSid ? `${/^\d+$/.test(e.userSid) ? 'UID' : 'SID'} ${e.userSid}` : undefined, user, copy: user };
    }
    default: {
      const title = e.registryKey ?? e.fileName ?? e.accountName ?? e.entityType;
      return { ...base, kind: e.entityType, title, detail: [e.registryValueName, e.registryValue].filter(Boolean).join(' = '), copy: title };
    }
  }
}

/** The host of a URL; '' for what is none. */
function host(url: string): string {
  try { return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url}`).hostname; } catch { return ''; }
}

/** The page of a thing; '' when it has none. */
export function pageOf(e: Entity): string {
  if (e.ip) return at.ip(e.ip);
  if (e.url) { const h = host(e.url); return h ? at.domain(h) : ''; }
  if (e.user) return at.user(e.user);
  if (e.sha256 || e.sha1) return at.file((e.sha1 ?? e.sha256)!);
  return '';
}

/** A query for everything that is known of a thing. */
export function huntOf(e: Entity): string {
  if (e.ip) return `DeviceNetworkEvents\n| where RemoteIP == ${literal(e.ip)}\n| project Timestamp, DeviceName, ActionType, RemoteIP, RemotePort, InitiatingProcessFileName, InitiatingProcessCommandLine`;
  if (e.url) return `DeviceNetworkEvents\n| where RemoteUrl has ${literal(host(e.url) || e.url)}\n| project Timestamp, DeviceName, ActionType, RemoteUrl, RemoteIP, InitiatingProcessFileName`;
  if (e.user) {
    const name = e.user.split('\\').pop()!;
    return `search in (DeviceLogonEvents, DeviceProcessEvents) AccountName =~ ${literal(name)}\n| sort by Timestamp desc\n| take 1000`;
  }
  if (e.sha1) return `search in (DeviceProcessEvents, DeviceFileEvents, DeviceImageLoadEvents) SHA1 == ${literal(e.sha1)} or InitiatingProcessSHA1 == ${literal(e.sha1)}\n| sort by Timestamp desc\n| take 1000`;
  return `DeviceProcessEvents\n| where FileName =~ ${literal(e.title)}\n| take 1000`;
}

/** What can be done about a thing. */
export function EntityMenu({ entity: e }: { entity: Entity }) {
  const may = useMay();
  const go = useGo();
  const ask = useConfirm();
  const notify = useNotify();
  const page = pageOf(e);
  const hunt = at.hunt(huntOf(e));
  const quarantine = () => ask({
    title: `Stop and quarantine ${e.title}`, action: 'Stop and quarantine',
    body: <>Processes of this file are stopped on the device and the file is moved to quarantine, from where it can be restored. <div className="mono wrap">{e.sha1}</div></>,
    run: async ({ reason }) => {
      await post(`/api/machines/${segment(e.deviceId!)}/StopAndQuarantineFile`, { Comment: reason, Sha1: e.sha1 });
      notify({ intent: 'ongoing', title: 'Stop and quarantine was requested', text: e.title });
    },
  });
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement><Button size="small" appearance="subtle" icon={<MoreHorizontalRegular />} aria-label={`Actions for ${e.title}`} onClick={(ev) => ev.stopPropagation()} /></MenuTrigger>
      <MenuPopover onClick={(ev) => ev.stopPropagation()}>
        <MenuList>
          {page && hasPage(page) && <MenuItem onClick={() => go(page)}>Open the page of this {e.kind.toLowerCase()}</MenuItem>}
          {hasPage(hunt) && <MenuItem onClick={() => go(hunt)}>Hunt for related events</MenuItem>}
          {e.sha1 && e.deviceId && may('Machine.StopAndQuarantine') && <MenuItem onClick={quarantine}>Stop and quarantine the file…</MenuItem>}
          <MenuItem icon={<CopyRegular />} onClick={() => { void navigator.clipboard.writeText(e.copy).then(() => notify({ intent: 'success', title: 'Copied', brief: true }), () => undefined); }}>Copy</MenuItem>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
