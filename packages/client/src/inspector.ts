/*
 * `lumamesh/inspector`: the element `<lumamesh-inspector>`, which shows what a net does.
 *
 *   import 'lumamesh/inspector';
 *   document.querySelector('lumamesh-inspector').net = net;
 */
export { LumameshInspector } from './platform/browser/inspector/inspector-element.ts';
export type {
  InspectedNet,
  InspectedPeer,
  InspectedRoom,
} from './platform/browser/inspector/inspected.ts';
