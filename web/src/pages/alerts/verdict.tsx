// Who works on alerts or incidents, and what they found.
import { Button, Field, Input, Select } from '@fluentui/react-components';
import { useUser } from '../../api/session';
import { words } from '../../ui/badges';
import css from './manage.module.css';

/** The published determinations of each classification. */
const determinations: Record<string, string[]> = {
  TruePositive: ['MultiStagedAttack', 'MaliciousUserActivity', 'CompromisedUser', 'Malware', 'Phishing', 'UnwantedSoftware', 'Other'],
  InformationalExpectedActivity: ['SecurityTesting', 'LineOfBusinessApplication', 'ConfirmedUserActivity', 'Other'],
  FalsePositive: ['NotMalicious', 'InsufficientData', 'Other'],
};

interface Verdict { assignedTo: string; classification: string; determination: string }

/** Whether a classification lacks the determination that goes with it. */
export const half = (now: Verdict, before: Verdict) => now.classification !== '' && now.classification !== before.classification && now.determination === '';

/** The fields of a verdict. A classification that was given can be changed and not taken back; unset names the choice of none. */
export function VerdictFields({ value: v, before, set, unset = 'Not set' }: { value: Verdict; before: Verdict; set: (part: Partial<Verdict>) => void; unset?: string }) {
  const user = useUser();
  return (
    <>
      <Field label="Assigned to">
        <div className={css.row}>
          <Input value={v.assignedTo} maxLength={256} onChange={(_, d) => set({ assignedTo: d.value })} className={css.grow} />
          <Button type="button" onClick={() => set({ assignedTo: user.login })}>To me</Button>
        </div>
      </Field>
      <Field label="Classification">
        <Select value={v.classification} onChange={(_, d) => set({ classification: d.value, determination: '' })}>
          <option value="" disabled={before.classification !== ''}>{unset}</option>
          {Object.keys(determinations).map((c) => <option key={c} value={c}>{words(c)}</option>)}
        </Select>
      </Field>
      {v.classification && (
        <Field label="Determination" required={half(v, before)}>
          <Select value={v.determination} onChange={(_, d) => set({ determination: d.value })}>
            <option value="" disabled>Choose one</option>
            {determinations[v.classification]?.map((d) => <option key={d} value={d}>{words(d)}</option>)}
          </Select>
        </Field>
      )}
    </>
  );
}
