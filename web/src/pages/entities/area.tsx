import type { Area } from '../../app/place';

/** Pages of things that are met everywhere and listed nowhere. */
export const area: Area = {
  places: [],
};
