package events

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/session"
)

// Body is the payload of an event, a JSON object. What is empty is left out.
type Body struct {
	Event    string `json:"event"` // connect, disconnect
	ClientID string `json:"clientId"`
	Username string `json:"username,omitempty"` // who logged in: the session is this user's

	Node     string `json:"node"`     // the key localAddress, else the name of the host
	RemoteIP string `json:"remoteIp"` // of the client, or of the load balancer in front
	Listener string `json:"listener"` // tcp, tls, ws, wss
	Protocol int    `json:"protocol"` // 3: MQTT 3.1, 4: 3.1.1, 5: 5

	Timestamp   int64 `json:"timestamp"`   // Unix milliseconds
	ConnectedAt int64 `json:"connectedAt"` // of the connection that it is about, Unix milliseconds

	CleanStart     *bool  `json:"cleanStart,omitempty"`     // of connect: clean session in MQTT 3
	SessionPresent *bool  `json:"sessionPresent,omitempty"` // of connect: a session was resumed
	SessionExpiry  uint32 `json:"sessionExpiry"`            // seconds that the session outlives the connection; 4294967295 for ever

	By         string `json:"by,omitempty"`         // of disconnect: client, server, network
	ReasonCode *int   `json:"reasonCode,omitempty"` // of disconnect, as in MQTT 5's DISCONNECT, whatever the version; not of network
	Reason     string `json:"reason,omitempty"`     // of disconnect, in words, at most 256 bytes
}

// body is the payload of e.
func body(e *session.Event, node string) []byte {
	b := Body{
		Event: "connect", ClientID: e.Client, Username: e.Principal,
		Node: node, RemoteIP: e.Peer.Addr.Addr().Unmap().String(), Listener: e.Peer.Listener, Protocol: int(e.Version),
		Timestamp: e.At, ConnectedAt: e.Connected, SessionExpiry: e.Expiry,
	}
	if e.Kind == session.Connected {
		b.CleanStart, b.SessionPresent = &e.Clean, &e.Present
	} else {
		b.Event = "disconnect"
		b.end(&e.Ending)
	}
	out, _ := json.Marshal(b) // texts and numbers: it cannot fail
	return out
}

func (b *Body) end(e *session.Ending) {
	b.By, b.Reason = [...]string{session.Network: "network", session.ByClient: "client", session.ByServer: "server"}[e.By], cut(e.Reason)
	if e.By != session.Network {
		b.ReasonCode = new(int(e.Code))
	}
}

// cut bounds what a client says.
func cut(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
