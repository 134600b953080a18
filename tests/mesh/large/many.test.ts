import { describe } from 'node:test';
import { SHAPES, itIsComplete } from '../shapes.ts';

/* Ten and thirty processes on whatever cores there are: minutes of work, most of it to start them. */
describe('many relays in processes of their own', () => {
  for (const count of [10, 30]) for (const shape of SHAPES) itIsComplete(count, shape);
});
