import { describe } from 'node:test';
import { SHAPES, itIsComplete } from '../shapes.ts';

/* Thirty processes on whatever cores there are: minutes of work, most of it to start them. */
describe('many relays in processes of their own', () => {
  for (const shape of SHAPES) itIsComplete(30, shape);
});
