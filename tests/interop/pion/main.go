// Joins a room again and again on nothing but pion's DTLS, SCTP and data channels, without an ICE
// agent and its pace: one connectivity check, then a ClientHello as small as pion's can be.
//
//	pion <address> <ufrag> <password> <fingerprint> <variant> <rounds>
//
// Prints the milliseconds to `joined` of each round, or the error of the handshake.
package main

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/elliptic"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"github.com/pion/stun"
)

const timeout = 8 * time.Second

func check(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(0)
	}
}

func connectivityCheck(socket net.Conn, ufrag, password string) {
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":pion"),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{110, 0, 1, 255}},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
		stun.RawAttribute{Type: stun.AttrUseCandidate},
		stun.NewShortTermIntegrity(password), stun.Fingerprint)
	check("stun", err)
	_, err = socket.Write(request.Raw)
	check("stun", err)
	check("stun", socket.SetReadDeadline(time.Now().Add(timeout)))
	_, err = socket.Read(make([]byte, 1500))
	check("stun", err)
	check("stun", socket.SetReadDeadline(time.Time{}))
}

func dtlsConfig(fingerprint, variant string) *dtls.Config {
	config := &dtls.Config{
		InsecureSkipVerify: true, // The fingerprint is what counts.
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			sum := sha256.Sum256(chain[0])
			if strings.ReplaceAll(fingerprint, ":", "") != strings.ToUpper(fmt.Sprintf("%x", sum)) {
				return fmt.Errorf("another certificate")
			}
			return nil
		},
		CipherSuites:         []dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		EllipticCurves:       []elliptic.Curve{elliptic.X25519},
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
	}
	switch variant {
	case "srtp":
		config.SRTPProtectionProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	case "everything":
		config.SRTPProtectionProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}
		config.SupportedProtocols = []string{"webrtc", "c-webrtc"}
		config.CipherSuites = nil
		config.EllipticCurves = nil
		config.ExtendedMasterSecret = dtls.RequestExtendedMasterSecret
	case "fragments":
		config.MTU = 100
	case "P-256":
		config.EllipticCurves = []elliptic.Curve{elliptic.P256}
	case "RSA":
		config.CipherSuites = []dtls.CipherSuiteID{dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	case "no extended master secret":
		config.ExtendedMasterSecret = dtls.DisableExtendedMasterSecret
	}
	return config
}

// The channel, which the variant opens by DCEP or not at all: then both know it.
func dial(association *sctp.Association, variant string, loggers logging.LoggerFactory) (*datachannel.DataChannel, error) {
	id, label := uint16(0), "lumamesh"
	if variant == "DCEP on stream 2" {
		id = 2
	}
	if variant == "another label" {
		id, label = 2, "other"
	}
	return datachannel.Dial(association, id, &datachannel.Config{
		Negotiated:    !strings.HasPrefix(variant, "DCEP") && variant != "another label",
		Label:         label,
		LoggerFactory: loggers,
	})
}

func join(address, ufrag, password, fingerprint, variant string) float64 {
	startedAt := time.Now()
	socket, err := net.Dial("udp", address)
	check("socket", err)
	connectivityCheck(socket, ufrag, password)
	secure, err := dtls.Client(socket, dtlsConfig(fingerprint, variant))
	check("dtls", err)
	loggers := logging.NewDefaultLoggerFactory()
	association, err := sctp.Client(sctp.Config{NetConn: secure, LoggerFactory: loggers})
	check("sctp", err)
	channel, err := dial(association, variant, loggers)
	check("channel", err)
	frame := fmt.Sprintf(`{"action":"join","room":"%s","peer":"%s"}`, strings.Repeat("r", 43), strings.Repeat("p", 22))
	_, err = channel.WriteDataChannel([]byte(frame), true)
	check("join", err)
	check("join", channel.SetReadDeadline(time.Now().Add(timeout)))
	buffer := make([]byte, 65536)
	for {
		n, _, err := channel.ReadDataChannel(buffer)
		check("frame", err)
		if strings.HasPrefix(string(buffer[:n]), `{"action":"joined"`) {
			break
		}
	}
	tookMs := float64(time.Since(startedAt).Microseconds()) / 1000
	// pion 2's DTLS closes the socket now and then before its close_notify; an ABORT is always sent.
	association.Abort("left")
	_ = association.Close()
	return tookMs
}

func main() {
	rounds, err := strconv.Atoi(os.Args[6])
	check("rounds", err)
	for i := 0; i < rounds; i++ {
		fmt.Printf("%.2f\n", join(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
	}
}
