export { Alarm, monotonicNow } from './clock.ts';
export { type IoPath, type NativeIoSetting, chooseIoPath } from './io-path.ts';
export { nodeCrypto, signingKey } from './node-crypto.ts';
export { type StunAnswer, newTransactionId, queryStun } from './stun-query.ts';
export { UdpClient, type UdpClientOptions } from './udp-client.ts';
export { UdpEndpoint, type UdpEndpointOptions, type UdpTraffic } from './udp-endpoint.ts';
export { RECEIVE_BUFFER_BYTES, bindUdpSocket } from './udp-socket.ts';
export { warmUp } from './warm-up.ts';
