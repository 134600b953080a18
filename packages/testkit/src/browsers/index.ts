export { type BrowserName, findBrowser, launchBrowser } from './launch.ts';
export { type LogEntry, waitForEntry } from './log-entry.ts';
export { NatSocket, NatTab } from './nat-host.ts';
export { NatNetwork, type NatRelayOptions, whyNoNatNetwork } from './nat-network.ts';
export { NatRelay } from './nat-relay.ts';
export { HOME_KINDS, type HomeKind } from './nat-topology.ts';
export { type StrictPage, findTestAddress, serveStrictPage } from './strict-page.ts';
