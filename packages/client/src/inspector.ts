import { InspectorElement } from './platform/browser/inspector/inspector-element.ts';

/*
 * `lumamesh/inspector`: the element `<lumamesh-inspector>`, which shows what a net does.
 *
 *   import 'lumamesh/inspector';
 *   document.querySelector('lumamesh-inspector').net = net;
 */
export { InspectorElement as LumameshInspector };
export type {
  InspectedNet,
  InspectedPeer,
  InspectedRoom,
} from './platform/browser/inspector/inspected.ts';
