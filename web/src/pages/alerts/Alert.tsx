import { useParams } from '@tanstack/react-router';
import { Page } from '../../ui/Page';

export default function Alert() {
  const { id } = useParams({ strict: false }) as { id: string };
  return <Page title={id}>…</Page>;
}
