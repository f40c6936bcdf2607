import { useMay } from '../../api/session';
import { Page, Tabs } from '../../ui/Page';
import { useAddressed } from '../../ui/url';
import { BuiltIn } from './BuiltIn';
import { Custom } from './Custom';
import { Suppressions } from './Suppressions';
import { Definitions } from './Definitions';

/** Detection: rules of one's own and those that ship, what is suppressed, and custom threat intelligence. */
export default function Rules() {
  const may = useMay();
  const [tab, setTab] = useAddressed('tab', 'custom');
  return (
    <Page title="Detection rules" fill>
      <Tabs label="Kinds of rules" value={tab} choose={setTab} of={[
        ['custom', 'Custom rules'], ['built-in', 'Built-in rules'], ...(may('Alert.Read.All', 'Alert.ReadWrite.All') ? [['suppression', 'Suppression'] as const] : []), ...(may('Ti.ReadWrite', 'Ti.ReadWrite.All') ? [['definitions', 'Custom TI definitions'] as const] : []),
      ]} />
      {tab === 'built-in' ? <BuiltIn /> : tab === 'suppression' ? <Suppressions /> : tab === 'definitions' ? <Definitions /> : <Custom />}
    </Page>
  );
}
