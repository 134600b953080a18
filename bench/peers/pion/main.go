// The reference of the benchmark: the same rooms and signals on pion's DTLS, SCTP and data
// channels, behind one UDP socket that answers connectivity checks itself, as an ICE-lite agent
// would. No presence, no limits, no mesh: what a relay in Go would cost at least.
//
// Prints one line of JSON when it serves; each line on its standard input is answered by one after
// a garbage collection: the milliseconds of CPU that this one took. It ends with its input.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"github.com/pion/stun"
)

const (
	ufrag             = "bench"
	password          = "benchbenchbenchbenchbench"
	receiveBufferSize = 4 << 20
	datagramsWaiting  = 64
	handshakeTimeout  = 15 * time.Second
)

type frame struct {
	Action string `json:"action"`
	Room   string `json:"room"`
	Peer   string `json:"peer"`
	To     string `json:"to"`
	Data   string `json:"data"`
}

// One five-tuple: what the socket has received for it, as a connection.
type remote struct {
	socket  *net.UDPConn
	address *net.UDPAddr
	packets chan []byte
	closed  chan struct{}
	once    sync.Once
}

func (r *remote) Read(into []byte) (int, error) {
	select {
	case packet := <-r.packets:
		return copy(into, packet), nil
	case <-r.closed:
		return 0, errors.New("closed")
	}
}

func (r *remote) Write(packet []byte) (int, error)   { return r.socket.WriteToUDP(packet, r.address) }
func (r *remote) Close() error                       { r.once.Do(func() { close(r.closed) }); return nil }
func (r *remote) LocalAddr() net.Addr                { return r.socket.LocalAddr() }
func (r *remote) RemoteAddr() net.Addr               { return r.address }
func (r *remote) SetDeadline(_ time.Time) error      { return nil }
func (r *remote) SetReadDeadline(_ time.Time) error  { return nil }
func (r *remote) SetWriteDeadline(_ time.Time) error { return nil }

type rooms struct {
	lock  sync.RWMutex
	rooms map[string]map[string]*datachannel.DataChannel
}

func (r *rooms) join(room, peer string, channel *datachannel.DataChannel) {
	r.lock.Lock()
	members := r.rooms[room]
	if members == nil {
		members = map[string]*datachannel.DataChannel{}
		r.rooms[room] = members
	}
	list := []map[string]string{}
	others := []*datachannel.DataChannel{}
	for name, other := range members {
		list = append(list, map[string]string{"peer": name, "presence": ""})
		others = append(others, other)
	}
	members[peer] = channel
	r.lock.Unlock()
	send(channel, map[string]interface{}{"action": "joined", "room": room, "members": list})
	for _, other := range others {
		send(other, map[string]string{"action": "peer-joined", "room": room, "peer": peer, "presence": ""})
	}
}

func (r *rooms) member(room, peer string) *datachannel.DataChannel {
	r.lock.RLock()
	defer r.lock.RUnlock()
	return r.rooms[room][peer]
}

func send(channel *datachannel.DataChannel, value interface{}) {
	text, err := json.Marshal(value)
	if err == nil {
		_, _ = channel.WriteDataChannel(text, true)
	}
}

// Serves one browser, from its ClientHello to its end.
func serve(r *remote, certificate tls.Certificate, all *rooms, gone func()) {
	defer gone()
	defer r.Close()
	loggers := logging.NewDefaultLoggerFactory()
	loggers.DefaultLogLevel = logging.LogLevelDisabled
	secure, err := dtls.Server(r, &dtls.Config{
		Certificates:         []tls.Certificate{certificate},
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		CipherSuites:         []dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		LoggerFactory:        loggers,
	})
	if err != nil {
		return
	}
	association, err := sctp.Server(sctp.Config{NetConn: secure, LoggerFactory: loggers})
	if err != nil {
		return
	}
	defer association.Close()
	channel, err := datachannel.Dial(association, 0, &datachannel.Config{Negotiated: true, Label: "lumamesh", LoggerFactory: loggers})
	if err != nil {
		return
	}
	peer := ""
	buffer := make([]byte, 65536)
	for {
		n, _, err := channel.ReadDataChannel(buffer)
		if err != nil {
			return
		}
		var f frame
		if json.Unmarshal(buffer[:n], &f) != nil {
			continue
		}
		switch f.Action {
		case "join":
			peer = f.Peer
			all.join(f.Room, peer, channel)
		case "signal":
			if other := all.member(f.Room, f.To); other != nil {
				send(other, map[string]string{"action": "signal", "room": f.Room, "from": peer, "data": f.Data})
			}
		}
	}
}

// The response to a valid connectivity check, or nil.
func answer(packet []byte, from *net.UDPAddr) []byte {
	request := &stun.Message{Raw: packet}
	if request.Decode() != nil || request.Type != stun.BindingRequest {
		return nil
	}
	if stun.NewShortTermIntegrity(password).Check(request) != nil {
		return nil
	}
	response, err := stun.Build(request, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.IP, Port: from.Port},
		stun.NewShortTermIntegrity(password), stun.Fingerprint)
	if err != nil {
		return nil
	}
	return response.Raw
}

func cpuMs() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
}

func answerParent() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		before := cpuMs()
		runtime.GC()
		debug.FreeOSMemory()
		fmt.Printf("{\"gcMs\":%.3f}\n", cpuMs()-before)
	}
	os.Exit(0)
}

func main() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	certificate, err := selfsign.SelfSign(key)
	if err != nil {
		panic(err)
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	_ = socket.SetReadBuffer(receiveBufferSize)
	sum := sha256.Sum256(certificate.Certificate[0])
	fingerprint := []string{}
	for _, b := range sum {
		fingerprint = append(fingerprint, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	line, _ := json.Marshal(map[string]interface{}{"type": "webrtc", "record": map[string]interface{}{
		"ip": "127.0.0.1", "port": socket.LocalAddr().(*net.UDPAddr).Port,
		"ufrag": ufrag, "pwd": password, "fingerprint": strings.Join(fingerprint, ":")}})
	fmt.Println(string(line))
	go answerParent()

	all := &rooms{rooms: map[string]map[string]*datachannel.DataChannel{}}
	var lock sync.Mutex
	remotes := map[string]*remote{}
	buffer := make([]byte, 8192)
	for {
		n, from, err := socket.ReadFromUDP(buffer)
		if err != nil {
			return
		}
		if n == 0 {
			continue
		}
		if buffer[0] < 4 {
			if response := answer(append([]byte(nil), buffer[:n]...), from); response != nil {
				_, _ = socket.WriteToUDP(response, from)
			}
			continue
		}
		name := from.String()
		lock.Lock()
		r := remotes[name]
		if r == nil {
			r = &remote{socket: socket, address: from, packets: make(chan []byte, datagramsWaiting), closed: make(chan struct{})}
			remotes[name] = r
			go serve(r, certificate, all, func() { lock.Lock(); delete(remotes, name); lock.Unlock() })
		}
		lock.Unlock()
		select {
		case r.packets <- append([]byte(nil), buffer[:n]...):
		default:
		}
	}
}
