export * from '../src/ui/export';
