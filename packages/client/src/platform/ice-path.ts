/** Connectivity checks have found a path: `connected` or `completed`. */
export function hasIcePath({
  iceConnectionState,
}: Pick<RTCPeerConnection, 'iceConnectionState'>): boolean {
  return iceConnectionState.startsWith('co');
}
