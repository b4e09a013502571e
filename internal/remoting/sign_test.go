package remoting

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

// The content, by the rule of AclUtils.combineRequestContent, is the values of AccessKey, SecurityToken, a, b and z in this order and then the
// body: "ak"+"tok"+"7"+"T"+"last"+"body". Its HMAC-SHA1 was computed apart:
//
//	printf 'aktok7Tlastbody' | openssl dgst -sha1 -hmac sk -binary | base64
func TestSignatureGolden(t *testing.T) {
	c := command{code: 310, body: []byte("body")}
	c.str("z", "last")
	c.str("b", "T")
	c.num("a", 7)
	newSigner(Credentials{AccessKey: "ak", SecretKey: "sk", SecurityToken: "tok"}).sign(&c)
	if got, want := c.fields[c.n-1], (field{name: "Signature", text: "TTRWZI5kOSt8sGoMPGy3jRA+c1s="}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Requests of all kinds come signed, with either header.
func TestRequestsAreSigned(t *testing.T) {
	bad := make(chan string, 16)
	b := &remotingtest.Broker{Hook: func(r *remotingtest.Request) bool {
		var content strings.Builder
		for _, k := range slices.Sorted(maps.Keys(r.Fields)) {
			if k != "Signature" {
				content.WriteString(r.Fields[k])
			}
		}
		mac := hmac.New(sha1.New, []byte("sk"))
		mac.Write([]byte(content.String()))
		mac.Write(r.Body)
		if r.Fields["Signature"] != base64.StdEncoding.EncodeToString(mac.Sum(nil)) || r.Fields["AccessKey"] != "ak" || r.Fields["SecurityToken"] != "" {
			bad <- "check signature failed"
		}
		return false
	}}
	b.AddTopic("T", 1)
	s := remotingtest.Start(t, b.Handle)
	b.At(s.Addr())
	c := client(t, Options{Namesrv: []string{s.Addr()}, Credentials: Credentials{AccessKey: "ak", SecretKey: "sk"}})
	ctx := context.Background()
	if _, err := c.SendSync(ctx, s.Addr(), &SendRequest{Topic: "T", Born: time.Now(), Body: []byte("body"), Properties: "A\x01b\x02"}); err != nil {
		t.Error(err)
	}
	if _, err := c.PullSync(ctx, s.Addr(), &PullRequest{Topic: "T", MaxMsgs: 1}); err != nil {
		t.Error(err)
	}
	if _, err := c.Route(ctx, "T"); err != nil {
		t.Error(err)
	}
	if err := c.Heartbeat(ctx, s.Addr(), Heartbeat{ClientID: "c"}); err != nil {
		t.Error(err)
	}
	pop := command{code: 200050}
	pop.str("topic", "T")
	if _, err := c.call(ctx, s.Addr(), &pop); err != nil {
		t.Error(err)
	}
	close(bad)
	for why := range bad {
		t.Error(why)
	}
}
