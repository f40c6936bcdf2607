import { Tab, TabList } from '@fluentui/react-components';
import { useMay } from '../../api/session';
import { Page } from '../../ui/Page';
import { useAddressed } from '../../ui/url';
import { BuiltIn } from './BuiltIn';
import { Custom } from './Custom';
import { Suppressions } from './Suppressions';
import css from './rules.module.css';
import { Definitions } from './Definitions';

/** Detection: rules of one's own and those that ship, what is suppressed, and custom threat intelligence. */
export default function Rules() {
  const may = useMay();
  const [tab, setTab] = useAddressed('tab', 'custom');
  return (
    <Page title="Detection rules" fill>
      <TabList className={css.tabs} selectedValue={tab} onTabSelect={(_, d) => setTab(String(d.value))}>
        <Tab value="custom">Custom rules</Tab>
        <Tab value="built-in">Built-in rules</Tab>
        {may('Alert.Read.All', 'Alert.ReadWrite.All') && <Tab value="suppression">Suppression</Tab>}
        {may('Ti.ReadWrite', 'Ti.ReadWrite.All') && <Tab value="definitions">Custom TI definitions</Tab>}
      </TabList>
      {tab === 'built-in' ? <BuiltIn /> : tab === 'suppression' ? <Suppressions /> : tab === 'definitions' ? <Definitions /> : <Custom />}
    </Page>
  );
}
