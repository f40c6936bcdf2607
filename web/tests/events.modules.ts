export * from '../src/pages/devices/events';
