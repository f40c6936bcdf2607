export * from '../src/api/json';
export * from '../src/api/text';
