type PeerConnectionClass = new (configuration?: RTCConfiguration) => RTCPeerConnection;

/**
 * What is given for WebRTC, as the library needs it: the polyfill of node-datachannel (0.33) differs
 * from W3C WebRTC where {@link mend} says so. Any other class is returned as it is.
 */
export function mendedConnection(given: PeerConnectionClass): PeerConnectionClass {
  // Of the polyfill only.
  return 'ext_maxDataChannelId' in given.prototype ? mend(given) : given;
}

/**
 * libdatachannel makes an offer as soon as there is a channel, and takes it back by itself when it
 * is to answer. Until the library asks for a description there is none, as far as it sees: else an
 * offer of the other side would collide with one that was never sent.
 */
function mend(given: PeerConnectionClass): PeerConnectionClass {
  return class extends given {
    #isAsked = false;
    #hasChannel = false;

    /** §4.7.3: `negotiationneeded` fires, in a task of its own; there it never does. */
    override createDataChannel(label: string, init?: RTCDataChannelInit): RTCDataChannel {
      const channel = super.createDataChannel(label, init);
      if (!this.#hasChannel)
        queueMicrotask(() => {
          if (this.signalingState === 'stable' && this.remoteDescription === null)
            this.dispatchEvent(new Event('negotiationneeded'));
        });
      this.#hasChannel = true;
      return channel;
    }

    override async setLocalDescription(): Promise<void> {
      // It is there already: the offer since there is a channel, the answer since there is an offer.
      this.#isAsked = true;
    }

    override async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
      await super.setRemoteDescription(description);
      this.#isAsked = true;
    }

    override get signalingState(): RTCSignalingState {
      const state = super.signalingState;
      return state === 'have-local-offer' && !this.#isAsked ? 'stable' : state;
    }

    /**
     * §4.4.2: `null` before there is one; there it is empty. An offer says that this side is the DTLS
     * client (RFC 5763 §5 lets it choose): the other one finds a path first, by answering, and its
     * ClientHello would come before this side knows of it, and be sent again a second later.
     */
    override get localDescription(): RTCSessionDescription | null {
      const { type, sdp } = super.localDescription ?? {};
      if (type === undefined || sdp === undefined || sdp === '' || !this.#isAsked) return null;
      const said = type === 'offer' ? sdp.replace('a=setup:actpass', 'a=setup:active') : sdp;
      return { type, sdp: said, toJSON: () => ({ type, sdp: said }) };
    }

    override get remoteDescription(): RTCSessionDescription | null {
      const description = super.remoteDescription;
      return (description?.sdp ?? '') === '' ? null : description;
    }
  };
}
