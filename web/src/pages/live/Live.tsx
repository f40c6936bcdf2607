// Live response: the sessions of everybody, and the library.
import { Tab, TabList } from '@fluentui/react-components';
import { useMay } from '../../api/session';
import { Page } from '../../ui/Page';
import { useAddress } from '../../ui/url';
import { Library, useMayStock } from './Library';
import css from './live.module.css';
import { Consoles } from './parts';
import { Sessions } from './Sessions';

export default function Live() {
  const may = useMay();
  const looks = may('Machine.LiveResponse');
  const stocks = useMayStock();
  const [address, set] = useAddress();
  const tab = address.tab ?? (looks ? 'sessions' : 'library');
  return (
    <Page title="Live response" fill>
      <Consoles />
      <TabList selectedValue={tab} onTabSelect={(_, d) => set({ tab: String(d.value), q: undefined, sort: undefined })} aria-label="Live response" className={css.tabs}>
        {looks && <Tab value="sessions">Sessions</Tab>}
        {stocks && <Tab value="library">Library</Tab>}
      </TabList>
      {tab === 'sessions' && looks && <Sessions />}
      {tab === 'library' && stocks && <Library />}
    </Page>
  );
}
