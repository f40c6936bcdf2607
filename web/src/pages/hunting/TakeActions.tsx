import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input, MessageBar, MessageBarBody, Radio, RadioGroup, Textarea } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { post } from '../../api/client';
import { useMay } from '../../api/session';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import type { Cells, ResultColumn } from './api';
import { shown } from './values';

interface Deed { value: string; title: string; need: string; path: string; body?: object; tag?: boolean; file?: boolean; single?: (id: string) => string }

const deeds: Deed[] = [
  { value: 'isolate', title: 'Isolate devices', need: 'Machine.Isolate', path: '/api/vedette/machineactions/bulk/Isolate', body: { IsolationType: 'Full' } },
  { value: 'collect', title: 'Collect investigation packages', need: 'Machine.CollectForensics', path: '/api/vedette/machineactions/bulk/CollectInvestigationPackage' },
  { value: 'scan', title: 'Run quick antivirus scans', need: 'Machine.Scan', path: '/api/vedette/machineactions/bulk/RunAntiVirusScan', body: { ScanType: 'Quick' } },
  { value: 'restrict', title: 'Restrict app execution', need: 'Machine.RestrictExecution', path: '/api/vedette/machineactions/bulk/RestrictCodeExecution' },
  { value: 'investigate', title: 'Initiate automated investigations', need: 'Alert.ReadWrite.All', path: '', single: (id) => `/api/machines/${id}/startInvestigation` },
  { value: 'tag', title: 'Add a tag', need: 'Machine.ReadWrite.All', path: '/api/machines/AddOrRemoveTagForMultipleMachines', tag: true },
  { value: 'quarantine', title: 'Stop and quarantine the files (by SHA1)', need: 'Machine.StopAndQuarantine', path: '/api/vedette/machineactions/bulk/StopAndQuarantineFile', file: true },
];

interface Outcome { machineId: string; computerDnsName: string; status: string; code: string; message: string }

/** What can be done with the devices and files of ticked rows. */
export function TakeActions({ columns, rows, close }: { columns: ResultColumn[]; rows: Cells[]; close: () => void }) {
  const may = useMay();
  const notify = useNotify();
  const cache = useQueryClient();
  const column = (re: RegExp) => columns.findIndex((c) => re.test(c.Name));
  const device = column(/^(DeviceId|MachineId)$/);
  const hash = [column(/^SHA1$/), column(/SHA1$/)].find((i) => i >= 0) ?? -1;
  const devices = useMemo(() => [...new Set(rows.map((r) => shown(r[device])).filter((d) => /^[0-9a-f]{40}$/i.test(d)))], [rows, device]);
  const pairs = useMemo(() => {
    const by = new Map<string, Set<string>>();
    for (const r of rows) {
      const [sha, d] = [shown(r[hash]), shown(r[device])];
      if (/^[0-9a-f]{40}$/i.test(sha) && d) by.set(sha, (by.get(sha) ?? new Set()).add(d));
    }
    return by;
  }, [rows, hash, device]);
  const offered = deeds.filter((d) => may(d.need) && (!d.file || pairs.size > 0));
  const [value, setValue] = useState(offered[0]?.value ?? '');
  const [reason, setReason] = useState('');
  const [tag, setTag] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [outcomes, setOutcomes] = useState<Outcome[]>();
  const deed = offered.find((d) => d.value === value);
  const ready = deed !== undefined && devices.length > 0 && reason.trim() !== '' && (!deed.tag || tag.trim() !== '');

  const submit = async () => {
    if (!deed || !ready) return;
    setBusy(true);
    setError('');
    const out: Outcome[] = [];
    try {
      if (deed.tag) {
        await post(deed.path, { Value: tag.trim(), Action: 'Add', MachineIds: devices });
      } else if (deed.single) {
        for (const id of devices) {
          try { await post(deed.single(id), { Comment: reason.trim() }); } catch (e) { out.push({ machineId: id, computerDnsName: '', status: '', code: 'Refused', message: (e as Error).message }); }
        }
      } else {
        const sets: [object, string[]][] = deed.file ? [...pairs].map(([Sha1, ids]) => [{ Sha1 }, [...ids]]) : [[{}, devices]];
        for (const [more, ids] of sets) {
          const r = await post<{ outcomes: Outcome[] }>(deed.path, { Comment: reason.trim(), MachineIds: ids, ...deed.body, ...more });
          out.push(...r.outcomes);
        }
      }
      await cache.invalidateQueries({ queryKey: ['/api/machineactions'] });
      const refused = out.filter((o) => o.code !== '');
      if (refused.length > 0) setOutcomes(refused);
      else {
        notify({ intent: 'success', title: `${deed.title}: ${devices.length} ${devices.length === 1 ? 'device' : 'devices'}`, text: deed.tag ? tag : 'The action center says what becomes of it.', to: deed.tag ? undefined : '/actions' });
        close();
      }
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
    }
    setBusy(false);
  };
  return (
    <Dialog open onOpenChange={(_, d) => { if (!d.open && !busy) close(); }}>
      <DialogSurface aria-describedby={undefined}>
        <form onSubmit={(e) => { e.preventDefault(); void submit(); }}>
          <DialogBody>
            <DialogTitle>Take actions</DialogTitle>
            <DialogContent style={{ display: 'flex', flexDirection: 'column', gap: 12 }}>
              {device < 0 || devices.length === 0 ? <MessageBar intent="info" layout="multiline"><MessageBarBody>The rows name no device. Let the query return the column DeviceId, and SHA1 for actions on files.</MessageBarBody></MessageBar> : (
                <>
                  <p style={{ margin: 0 }}>{rows.length} {rows.length === 1 ? 'row names' : 'rows name'} {devices.length} {devices.length === 1 ? 'device' : 'devices'}{pairs.size > 0 && ` and ${pairs.size} ${pairs.size === 1 ? 'file' : 'files'}`}.</p>
                  {offered.length === 0 && <MessageBar intent="info"><MessageBarBody>You have no permission for an action.</MessageBarBody></MessageBar>}
                  <RadioGroup value={value} onChange={(_, d) => setValue(d.value)} aria-label="Action">{offered.map((d) => <Radio key={d.value} value={d.value} label={d.title} />)}</RadioGroup>
                  {deed?.tag && <Field label="Tag" required><Input value={tag} maxLength={200} onChange={(_, d) => setTag(d.value)} /></Field>}
                  <Field label="Comment" required hint="Kept with each action and shown to everybody who sees it"><Textarea value={reason} maxLength={4000} rows={2} onChange={(_, d) => setReason(d.value)} /></Field>
                </>
              )}
              {outcomes && <MessageBar intent="warning" layout="multiline"><MessageBarBody>{outcomes.length} refused:<ul>{outcomes.slice(0, 12).map((o) => <li key={o.machineId}><Go to={at.device(o.machineId)}>{o.computerDnsName || o.machineId.slice(0, 12)}</Go>: {o.message || o.code}</li>)}</ul></MessageBarBody></MessageBar>}
              {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
            </DialogContent>
            <DialogActions>
              <Button type="button" onClick={close} disabled={busy}>{outcomes ? 'Close' : 'Cancel'}</Button>
              {!outcomes && <Button type="submit" appearance="primary" disabled={!ready || busy}>{busy ? 'One moment…' : deed?.title ?? 'Do it'}</Button>}
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
