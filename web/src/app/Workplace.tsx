import { RouterProvider } from '@tanstack/react-router';
import { ConfirmProvider } from '../ui/confirm';
import { NoticeProvider } from './notices';
import { router } from './router';
import { ZoneProvider } from './time';

/** The portal of somebody who is signed in. */
export default function Workplace() {
  return (
    <ZoneProvider>
      <NoticeProvider>
        <ConfirmProvider>
          <RouterProvider router={router} />
        </ConfirmProvider>
      </NoticeProvider>
    </ZoneProvider>
  );
}
