import { FluentProvider } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { onSessionOver } from '../api/client';
import { useSession, type Session } from '../api/session';
import { Failure, Waiting } from '../ui/states';
import { SignIn } from './SignIn';
import Workplace from './Workplace';
import { ThemeContext, themes, useThemeChoice } from './theme';

/** The portal: the sign-in page, or the workplace of whoever is signed in. */
export function App() {
  const theme = useThemeChoice();
  const cache = useQueryClient();
  const { data, error, refetch } = useSession();
  const [over, setOver] = useState(false);
  useEffect(() => onSessionOver(() => {
    setOver(true);
    cache.setQueryData<Session>(['session'], (s) => s && { ...s, signedIn: false, user: null, permissions: [] });
  }), [cache]);

  let view = <Waiting label="Starting" />;
  if (error && !data) view = <Failure error={error} retry={() => void refetch()} />;
  else if (data && !data.signedIn) view = <SignIn over={over} session={data} done={() => setOver(false)} />;
  else if (data) view = <Workplace />;
  return (
    <ThemeContext value={theme}>
      {/* What is a class here is one of every menu and tooltip too: the frame's height would cover the page. */}
      <FluentProvider theme={themes[theme.shown]}><div className="frame">{view}</div></FluentProvider>
    </ThemeContext>
  );
}
