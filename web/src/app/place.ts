// What an area of the portal tells the shell of itself: the entries of its navigation and its pages. An area is a
// directory below pages/ whose area.tsx exports one Area and whose pages.ts its pages; areas.ts and pages.ts list them all.
import type { FluentIcon } from '@fluentui/react-icons';
import type { ComponentType } from 'react';

/** The groups of the navigation, in their order. */
export const groups = ['', 'Investigation & response', 'Hunting', 'Assets', 'Threat intelligence', 'Automation', 'System'] as const;
export type Group = (typeof groups)[number];

/** An entry of the navigation. */
export interface Place {
  path: string;
  title: string;
  icon: FluentIcon;
  group: Group;
  /** Shown to who has one of these permissions; to everybody when there are none. */
  need?: string[];
  /** Its order in the group, low first; 50 when it is not said. */
  order?: number;
  /** A hook that counts what goes on there; shown beside the title unless it is 0. */
  useCount?: () => number;
}

/** A page: its address, as the router has it (/incidents/$id), and what loads it. */
export interface Page {
  path: string;
  load: () => Promise<PageModule>;
}

export interface PageModule {
  default: ComponentType;
  /** Asks for what the page will show first, by the parameters of its address, before anything is drawn. */
  ahead?: (address: Record<string, string>) => void;
}

export interface Area {
  places: Place[];
}
