package limits

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// Whatever clients send, the broker goes on, and has no more memory, threads and descriptors afterwards than before.
func TestGarbage(t *testing.T) {
	const (
		rounds = 10
		conns  = 400 // of each round
		seed   = 1   // every run sends the same, so that a finding can be looked into
		growth = 8 * mib
	)
	b := broker.Start(t, broker.Options{NoRace: true, Errors: true}) // a retained message is refused with an error
	victim := connect(t, b.TCP, hello(mqtt.V5, "bystander"))
	garbage(t, b, conns, seed)
	descriptors := openDescriptors(t, b)
	before := settles(t, b, afterStart)
	for round := range rounds {
		garbage(t, b, conns, seed+uint64(round)+1)
		if err := ping(victim); err != nil {
			t.Fatalf("a client that sends no garbage: %v", err)
		}
	}
	eventually(t, "the descriptors are given back", func() bool { return openDescriptors(t, b) <= descriptors })
	after := settles(t, b, before+growth)
	t.Logf("%d KiB after %d connections, %d KiB after %d more", before/kib, conns, after/kib, rounds*conns)
	if after > before+growth {
		t.Errorf("resident memory grew by %d KiB", (after-before)/kib)
	}
	serves(t, b)
}

// garbage sends garbage over so many connections, each until the broker has closed it.
func garbage(t *testing.T, b *broker.Broker, conns int, seed uint64) {
	t.Helper()
	var all errgroup.Group
	all.SetLimit(32)
	for i := range conns {
		all.Go(func() error {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			nc, err := net.DialTimeout("tcp", b.TCP, patience)
			if err != nil {
				return err
			}
			defer nc.Close()
			return spill(rng, nc, input(rng))
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// input is what one connection sends: noise, or a valid conversation with noise at its end, or one with mistakes.
func input(rng *rand.Rand) []byte {
	switch rng.IntN(4) {
	case 0:
		return noise(rng, 1+rng.IntN(4000))
	case 1:
		v := version(rng)
		return append(hello(v, fmt.Sprint("garbage", rng.IntN(50))).Append(nil, v), noise(rng, 1+rng.IntN(4000))...)
	}
	b := conversation(rng)
	for range rng.IntN(4) {
		b = mistake(rng, b)
	}
	return b
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func version(rng *rand.Rand) mqtt.Version {
	return []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}[rng.IntN(3)]
}

// conversation is valid: CONNECT and some other packets.
func conversation(rng *rand.Rand) []byte {
	v := version(rng)
	c := hello(v, fmt.Sprint("garbage", rng.IntN(50)))
	if rng.IntN(3) == 0 {
		keep(c)
	}
	b := c.Append(nil, v)
	for i := range rng.IntN(30) {
		b = somePacket(rng, uint16(i+1)).Append(b, v)
	}
	return b
}

func somePacket(rng *rand.Rand, id uint16) wire.Packet {
	filter := []byte([]string{"g/1", "g/+", "#", "$share/s/g/#"}[rng.IntN(4)])
	switch rng.IntN(6) {
	case 0:
		return &mqtt.Subscribe{PacketID: id, Filters: []mqtt.SubscribeFilter{{Filter: filter, QoS: byte(rng.IntN(3))}}}
	case 1:
		return &mqtt.Unsubscribe{PacketID: id, Filters: [][]byte{filter}}
	case 2:
		return wire.Ping{}
	case 3:
		return &mqtt.Ack{Type: []mqtt.Type{mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP}[rng.IntN(4)], PacketID: id}
	}
	p := &mqtt.Publish{Topic: []byte("g/1"), QoS: byte(rng.IntN(3)), Payload: noise(rng, rng.IntN(500))}
	if p.QoS > 0 {
		p.PacketID = id
	}
	p.User = []mqtt.UserProperty{{Key: []byte("name"), Value: []byte("value")}}
	return p
}

// mistake changes a byte, or leaves out, repeats or inserts some.
func mistake(rng *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	at := rng.IntN(len(b))
	end := min(len(b), at+1+rng.IntN(20))
	switch rng.IntN(4) {
	case 0:
		b[at] = byte(rng.Uint32())
		return b
	case 1:
		return slices.Delete(b, at, end)
	case 2:
		return slices.Insert(b, at, slices.Clone(b[at:end])...)
	}
	return slices.Insert(b, at, noise(rng, end-at)...)
}

// spill writes b in pieces, says that nothing more comes, and reads until the broker has closed.
func spill(rng *rand.Rand, nc net.Conn, b []byte) error {
	_ = nc.SetDeadline(time.Now().Add(patience))
	for len(b) > 0 {
		n := min(len(b), 1+rng.IntN(1000))
		if _, err := nc.Write(b[:n]); err != nil {
			return nil // the broker has closed
		}
		b = b[n:]
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	_, err := io.Copy(io.Discard, nc)
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // net.Error is what net returns
		return fmt.Errorf("the broker did not close a connection that its client has ended within %s", patience)
	}
	return nil
}
