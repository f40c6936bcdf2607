// Live response: the sessions of everybody, and the library.
import { useMay } from '../../api/session';
import { Page, Tabs } from '../../ui/Page';
import { useAddress } from '../../ui/url';
import { Library, useMayStock } from './Library';
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
      <Tabs label="Live response" value={tab} choose={(id) => set({ tab: id, q: undefined, sort: undefined })} of={[...(looks ? [['sessions', 'Sessions'] as const] : []), ...(stocks ? [['library', 'Library'] as const] : [])]} />
      {tab === 'sessions' && looks && <Sessions />}
      {tab === 'library' && stocks && <Library />}
    </Page>
  );
}
