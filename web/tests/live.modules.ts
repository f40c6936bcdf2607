export * from '../src/pages/live/cast';
export * from '../src/pages/live/line';
export * from '../src/pages/live/plain';
