import { createDOMRenderer, RendererProvider } from '@fluentui/react-components';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { queries } from './api/query';
import { readInlined } from './api/session';
import { parameters } from './api/address';
import { pageAt } from './app/pages';
import './app.css';

// The page's policy lets only style elements with this page's nonce in. The style library takes it as an option;
// the editor and the terminal make their own elements, which are stamped as they are made.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;
if (nonce) {
  const create = document.createElement.bind(document);
  document.createElement = function stamped(this: Document, tag: string, options?: ElementCreationOptions) {
    const element = create(tag, options);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  } as typeof document.createElement;
}
const renderer = createDOMRenderer(document, { insertionPoint: document.querySelector<HTMLElement>('meta[name=styles]') ?? undefined, styleElementAttributes: nonce ? { nonce } : undefined });

// Who is signed in came with the page mostly: then what it shows first is asked for while it is being drawn.
if (readInlined()) void pageAt(window.location.pathname)?.load().then((m) => m.ahead?.(parameters(window.location.search)), () => undefined);

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <RendererProvider renderer={renderer} targetDocument={document}>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </RendererProvider>
  </StrictMode>,
);
