import { Button, Tab, TabList } from '@fluentui/react-components';
import { CopyRegular } from '@fluentui/react-icons/svg/copy';
import { useState } from 'react';
import { useNotify } from '../../app/notices';
import css from './settings.module.css';

interface Given { url: string; ca: string; token: string }

/** The ways in which the agent comes to a device. Each is a command that works as it stands there. */
const ways: { id: string; title: string; text: string; command: (g: Given) => string }[] = [
  {
    id: 'systemd', title: 'Linux, systemd', text: 'As root, with the program vedette-agent of this version beside it. It becomes a service that starts with the device.',
    command: (g) => `${files(g, '/etc/vedette')}vedette-agent install --server ${g.url} --ca /etc/vedette/ca.crt --enroll-token-file /etc/vedette/token\nrm /etc/vedette/token`,
  },
  {
    id: 'run', title: 'Linux, container or no systemd', text: 'As root, in a container with the host’s process namespace and the capabilities that its status names. It runs until it is stopped; what holds it up is up to you.',
    command: (g) => `${files(g, '/etc/vedette')}vedette-agent run --server ${g.url} --ca /etc/vedette/ca.crt --enroll-token-file /etc/vedette/token --state-dir /var/lib/vedette-agent`,
  },
  {
    id: 'image', title: 'Linux, image', text: 'Into the mounted root of an image. The device enrols when it starts for the first time: let the token take as many devices as are made of the image.',
    command: (g) => `${files(g, '/etc/vedette')}vedette-agent install --root /mnt/image --server ${g.url} --ca /etc/vedette/ca.crt --enroll-token-file /etc/vedette/token\nrm /etc/vedette/token`,
  },
];

const files = (g: Given, dir: string) => `install -d -m 700 ${dir}\ncat > ${dir}/ca.crt <<'END'\n${g.ca}\nEND\n(umask 077 && cat > ${dir}/token <<'END'\n${g.token}\nEND\n)\n`;

/** How the agent is installed. Without a token the command says where one goes. */
export function Install({ url, ca, token = 'TOKEN' }: { url: string; ca: string; token?: string }) {
  const [id, setID] = useState(ways[0].id);
  const notify = useNotify();
  const way = ways.find((w) => w.id === id)!;
  const command = way.command({ url, ca, token });
  const copy = () => navigator.clipboard.writeText(command).then(() => notify({ intent: 'success', title: 'Copied', brief: true }), () => notify({ intent: 'error', title: 'The browser did not let it be copied' }));
  return (
    <div>
      <TabList size="small" selectedValue={id} onTabSelect={(_, d) => setID(String(d.value))} aria-label="Ways to install the agent">{ways.map((w) => <Tab key={w.id} value={w.id}>{w.title}</Tab>)}</TabList>
      <p className="quiet">{way.text}{token === 'TOKEN' && ' TOKEN stands for an enrolment token, which is shown when it is made.'}</p>
      <pre className={css.secret} tabIndex={0} aria-label="Install command">{command}</pre>
      <div className={css.copy}><Button type="button" size="small" icon={<CopyRegular />} onClick={() => void copy()}>Copy</Button></div>
    </div>
  );
}
