import { Button, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useEffect, useState } from 'react';
import { ApiError, post } from '../api/client';
import { useEnter, useGiveUp, type Enrolment, type Session } from '../api/session';
import { RecoveryCodes, SetUp } from '../ui/Factor';
import { Waiting } from '../ui/states';
import { Step, Wrong } from './SignIn';

/** The second step of who has to set up a second factor before anything else. */
export default function Enrol({ done }: { done: () => void }) {
  const [enrolment, setEnrolment] = useState<Enrolment>();
  const [error, setError] = useState<Error | null>(null);
  const [entered, setEntered] = useState<Session>();
  const enter = useEnter();
  const giveUp = useGiveUp();
  useEffect(() => {
    let here = true;
    post<Enrolment>('/portal/session/enrolment').then((e) => { if (here) setEnrolment(e); }, (e: Error) => { if (here) setError(e); });
    return () => { here = false; };
  }, []);
  const confirm = async (code: string) => {
    try {
      setEntered(await post<Session>('/portal/session/enrolment/confirm', { code }));
    } catch (e) {
      if (e instanceof ApiError && e.code === 'SignInStale') { giveUp.mutate(); return; }
      throw e;
    }
  };
  if (entered) {
    return (
      <Step title="Recovery codes" wide>
        <RecoveryCodes codes={entered.recoveryCodes ?? []} done={() => { done(); enter(entered); }} action="Go on to the portal" />
      </Step>
    );
  }
  return (
    <Step title="Set up a second factor" wide>
      <MessageBar intent="info" layout="multiline"><MessageBarBody>A second factor is required of you. You need an authenticator app, such as those that phones and password managers have.</MessageBarBody></MessageBar>
      <Wrong error={error} />
      {enrolment ? <SetUp enrolment={enrolment} confirm={confirm} action="Turn on and sign in" /> : !error && <Waiting />}
      <Button type="button" appearance="transparent" onClick={() => giveUp.mutate()}>Somebody else</Button>
    </Step>
  );
}
