import { Button, Spinner } from '@fluentui/react-components';
import { ArrowClockwiseRegular } from '@fluentui/react-icons/svg/arrow-clockwise';
import { ErrorCircleRegular } from '@fluentui/react-icons/svg/error-circle';
import { LockClosedRegular } from '@fluentui/react-icons/svg/lock-closed';
import { Component, type ReactNode } from 'react';
import { ApiError } from '../api/client';
import css from './states.module.css';

/** What is shown while something is on its way. */
export function Waiting({ label = 'Loading' }: { label?: string }) {
  return <div className={css.state} role="status"><Spinner size="small" label={label} /></div>;
}

/** What is shown where there is nothing: why, and what to do about it. */
export function Empty({ title, children, action, icon }: { title: string; children?: ReactNode; action?: ReactNode; icon?: ReactNode }) {
  return (
    <div className={css.state}>
      {icon && <div className={css.icon}>{icon}</div>}
      <p className={css.title}>{title}</p>
      {children && <div className={css.text}>{children}</div>}
      {action}
    </div>
  );
}

/** An error as what it says, with what finds it in the server's log. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const e = error instanceof ApiError ? error : undefined;
  const denied = e?.status === 403;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <div className={css.state} role="alert">
      <div className={denied ? css.icon : css.bad}>{denied ? <LockClosedRegular fontSize={28} /> : <ErrorCircleRegular fontSize={28} />}</div>
      <p className={css.title}>{denied ? 'You have no access to this' : e?.status === 404 ? 'This is not here' : 'This could not be loaded'}</p>
      <div className={css.text}>{message}</div>
      {e?.target && <div className={css.small}>Request {e.target}</div>}
      {retry && !denied && e?.status !== 404 && <Button icon={<ArrowClockwiseRegular />} onClick={retry}>Try again</Button>}
    </div>
  );
}

/** Keeps an error of one part of a page from taking the rest with it. */
export class Boundary extends Component<{ children: ReactNode; place?: string }, { error?: Error; place?: string }> {
  state: { error?: Error; place?: string } = {};
  static getDerivedStateFromError(error: Error) { return { error }; }
  static getDerivedStateFromProps(p: { place?: string }, s: { place?: string }) { return p.place !== s.place ? { error: undefined, place: p.place } : null; }
  render() {
    return this.state.error ? <Failure error={this.state.error} retry={() => this.setState({ error: undefined })} /> : this.props.children;
  }
}
