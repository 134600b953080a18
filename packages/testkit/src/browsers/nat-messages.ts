import type { BrowserName } from './launch.ts';

/* What the test process and the agent in a home's namespace say to each other: JSON over the IPC of a child process. */

export interface UdpAddress {
  readonly address: string;
  readonly port: number;
}

export interface Datagram {
  readonly from: UdpAddress;
  readonly text: string;
}

export type AgentCommand =
  | {
      readonly command: 'openTab';
      readonly browser: BrowserName;
      readonly script: string;
      /** The HTTP proxy that the browser uses, "<address>:<port>". */
      readonly proxy: string | undefined;
      /** Whether the page comes from there by IPv6. */
      readonly isIpv6: boolean;
    }
  | { readonly command: 'startProxy'; readonly port: number }
  | { readonly command: 'evaluate'; readonly tab: number; readonly expression: string }
  | { readonly command: 'pageErrors' | 'closeTab' | 'killTab'; readonly tab: number }
  | { readonly command: 'openSocket'; readonly isIpv6: boolean }
  | {
      readonly command: 'send';
      readonly socket: number;
      readonly to: UdpAddress;
      readonly text: string;
    }
  | {
      readonly command: 'mapped';
      readonly socket: number;
      readonly server: UdpAddress;
      readonly timeoutMs: number;
    }
  | { readonly command: 'received' | 'closeSocket'; readonly socket: number }
  | { readonly command: 'fetchJson'; readonly url: string };

export type AgentRequest = AgentCommand & { readonly id: number };

export type AgentReply =
  | { readonly id: number; readonly value?: unknown }
  | { readonly id: number; readonly error: string };
