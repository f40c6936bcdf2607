import { Button, DrawerBody, DrawerHeader, DrawerHeaderTitle, OverlayDrawer } from '@fluentui/react-components';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { useLayoutEffect, useRef, type ReactNode } from 'react';
import { Boundary } from './states';

/** A panel at the right, over the page, which stays usable. It takes the focus; Escape closes it, and the focus goes back
 *  to where it was. */
export function SidePanel({ open, title, actions, close, children, size = 'medium' }: {
  open: boolean; title: ReactNode; actions?: ReactNode; close: () => void; children: ReactNode; size?: 'small' | 'medium' | 'large';
}) {
  const from = useRef<Element>(null);
  useLayoutEffect(() => {
    if (!open) return undefined;
    from.current = document.activeElement;
    return () => {
      const back = from.current;
      // Once the panel is gone: unless the person went elsewhere meanwhile, the focus was in it and is nowhere now.
      requestAnimationFrame(() => {
        const at = document.activeElement;
        if ((!at || at === document.body || at.closest('[role=dialog]')) && back instanceof HTMLElement && back.isConnected) back.focus({ preventScroll: true });
      });
    };
  }, [open]);
  return (
    <OverlayDrawer modalType="non-modal" position="end" size={size} open={open} onOpenChange={(_, d) => { if (!d.open) close(); }}
      aria-label={typeof title === 'string' ? title : 'Details'} onKeyDown={(e) => { if (e.key === 'Escape' && !e.defaultPrevented) close(); }}>
      <DrawerHeader>
        <DrawerHeaderTitle heading={{ as: 'h2', style: { overflowWrap: 'anywhere' } }} action={<Button appearance="subtle" aria-label="Close" icon={<DismissRegular />} onClick={close} />}>{title}</DrawerHeaderTitle>
        {actions}
      </DrawerHeader>
      <DrawerBody>{open && <Boundary>{children}</Boundary>}</DrawerBody>
    </OverlayDrawer>
  );
}
