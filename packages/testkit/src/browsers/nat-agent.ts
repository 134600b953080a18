import { randomBytes } from 'node:crypto';
import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { Browser, Page } from 'puppeteer-core';
import { decodeXorMappedAddress } from '@lumamesh/transport/internal/stun/attributes/xor-mapped-address';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  StunBuilder,
  decodeStun,
  findAttribute,
} from '@lumamesh/transport/internal/stun/message';
import { type BrowserName, launchBrowser } from './launch.ts';
import type {
  AgentCommand,
  AgentReply,
  AgentRequest,
  Datagram,
  UdpAddress,
} from './nat-messages.ts';
import { type StrictPage, serveStrictPage } from './strict-page.ts';

/*
 * The program that lives in a home's network namespace: what has to be done there (browsers, the page on that namespace's own localhost, sockets) is done
 * here, as the test process that stands outside says over IPC. It ends with that process, and its browsers with it.
 */

const STUN_RETRY_MS = 500;
/** A page whose script is in an endless loop answers nothing; puppeteer would wait for three minutes. */
const EVALUATE_TIMEOUT_MS = 60_000;

interface OpenTab {
  readonly browser: Browser;
  readonly page: Page;
  readonly served: StrictPage;
  readonly errors: string[];
}

interface OpenSocket {
  readonly socket: Socket;
  readonly received: Datagram[];
}

const tabs = new Map<number, OpenTab>();
const sockets = new Map<number, OpenSocket>();
let nextId = 1;

process.on('message', (request: AgentRequest) => void handle(request));
process.on('disconnect', () => void end());

async function handle(request: AgentRequest): Promise<void> {
  let reply: AgentReply;
  try {
    reply = { id: request.id, value: await obey(request) };
  } catch (error) {
    reply = { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
  if (process.connected) process.send?.(reply);
}

async function obey(request: AgentRequest): Promise<unknown> {
  switch (request.command) {
    case 'openTab':
      return openTab(request);
    case 'startProxy':
      return startProxy(request.port);
    case 'evaluate':
      return evaluate(tabOf(request.tab), request.expression);
    case 'pageErrors':
      return tabOf(request.tab).errors;
    case 'closeTab':
      return closeTab(request.tab);
    case 'killTab':
      return tabOf(request.tab).browser.process()?.kill('SIGKILL');
    case 'openSocket':
      return openSocket(request.isIpv6);
    case 'send':
      return socketOf(request.socket).socket.send(
        request.text,
        request.to.port,
        request.to.address,
      );
    case 'received':
      return socketOf(request.socket).received;
    case 'mapped':
      return mapped(socketOf(request.socket).socket, request.server, request.timeoutMs);
    case 'closeSocket':
      socketOf(request.socket).socket.close();
      return sockets.delete(request.socket);
    case 'fetchJson':
      return (await fetch(request.url)).json();
  }
}

async function openTab({
  browser: name,
  script,
  proxy,
  isIpv6,
}: AgentCommand & { readonly command: 'openTab' }): Promise<number> {
  const served = await serveStrictPage(script, undefined, isIpv6 ? '[::1]' : 'localhost');
  const browser = await launchBrowser(name, undefined, ...proxySettings(name, proxy));
  const id = nextId++;
  try {
    const page = await browser.newPage();
    const tab: OpenTab = { browser, page, served, errors: [] };
    page.on('pageerror', (error) => tab.errors.push(String(error)));
    tabs.set(id, tab);
    await page.goto(served.url);
    await page.waitForFunction('globalThis.harness !== undefined');
    return id;
  } catch (error) {
    await browser.close();
    await served.close();
    tabs.delete(id);
    throw error;
  }
}

/** How each browser is told of a proxy; its own pages, on localhost, it does not ask for. */
function proxySettings(
  name: BrowserName,
  proxy: string | undefined,
): [arguments_: readonly string[], preferences: Readonly<Record<string, unknown>>] {
  if (proxy === undefined) return [[], {}];
  const [host, port] = proxy.split(':');
  return [
    name === 'chromium' ? [`--proxy-server=http://${proxy}`] : [],
    {
      'network.proxy.type': 1,
      'network.proxy.http': host,
      'network.proxy.http_port': Number(port),
      'network.proxy.ssl': host,
      'network.proxy.ssl_port': Number(port),
    },
  ];
}

/** An HTTP proxy that does nothing but connect (RFC 9110 §9.3.6). */
async function startProxy(port: number): Promise<void> {
  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on('connect', ({ url = '' }, client, head) => {
    const colon = url.lastIndexOf(':');
    const upstream = connect(Number(url.slice(colon + 1)), url.slice(0, colon), () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  server.listen(port, '0.0.0.0');
  await once(server, 'listening');
}

async function evaluate({ page, errors }: OpenTab, expression: string): Promise<unknown> {
  const { promise, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(
    () =>
      reject(new Error(`the page does not answer to ${expression}; errors: ${errors.join('; ')}`)),
    EVALUATE_TIMEOUT_MS,
  );
  try {
    return await Promise.race([page.evaluate(expression), promise]);
  } finally {
    clearTimeout(limit);
  }
}

async function closeTab(id: number): Promise<void> {
  const tab = tabs.get(id);
  // A test that has closed or killed a browser itself need not tell what tidies up behind it.
  if (tab === undefined) return;
  tabs.delete(id);
  await tab.browser.close().catch(() => undefined);
  await tab.served.close();
}

async function openSocket(isIpv6: boolean): Promise<number> {
  const socket = createSocket(isIpv6 ? 'udp6' : 'udp4');
  const received: Datagram[] = [];
  socket.on('message', (data, from) => {
    // Answers to STUN begin with a byte below 4; everything else is text that another home has sent.
    if ((data[0] ?? 0) > 3)
      received.push({ from: { address: from.address, port: from.port }, text: data.toString() });
  });
  // What ICMP says of a datagram is no fault of the socket's.
  socket.on('error', () => undefined);
  socket.bind(0);
  await once(socket, 'listening');
  const id = nextId++;
  sockets.set(id, { socket, received });
  return id;
}

/** Asks a STUN server (RFC 8489 §2) from where it sees this socket. `null` when it does not answer. */
async function mapped(
  socket: Socket,
  server: UdpAddress,
  timeoutMs: number,
): Promise<UdpAddress | null> {
  const transactionId = randomBytes(12);
  const request = new StunBuilder('request', METHOD_BINDING, transactionId).finish();
  const { promise, resolve } = Promise.withResolvers<UdpAddress | null>();
  const handleMessage = (data: Buffer): void => {
    const decoded = decodeStun(data);
    if (!decoded.ok || !transactionId.equals(decoded.value.transactionId)) return;
    const attribute = findAttribute(decoded.value, ATTRIBUTE.xorMappedAddress);
    resolve(attribute === null ? null : decodeXorMappedAddress(attribute.value, transactionId));
  };
  const ask = (): void => socket.send(request, server.port, server.address);
  socket.on('message', handleMessage);
  const retry = setInterval(ask, STUN_RETRY_MS);
  const limit = setTimeout(() => resolve(null), timeoutMs);
  ask();
  const answer = await promise;
  clearInterval(retry);
  clearTimeout(limit);
  socket.off('message', handleMessage);
  return answer;
}

function tabOf(id: number): OpenTab {
  const tab = tabs.get(id);
  if (tab === undefined) throw new Error('this tab was closed');
  return tab;
}

function socketOf(id: number): OpenSocket {
  const socket = sockets.get(id);
  if (socket === undefined) throw new Error('this socket was closed');
  return socket;
}

async function end(): Promise<void> {
  await Promise.allSettled([...tabs.keys()].map(closeTab));
  process.exit();
}
