package remoting

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"hash"
	"strconv"
	"sync"
)

// signer signs requests as class AclClientRPCHook does: AccessKey and SecurityToken become fields; the values of all fields in the order of
// their names, and the body after them, go through HMAC-SHA1; its base64 is the field Signature. Brokers of 4.x and 5.x check the
// same. It may be used by any goroutine.
type signer struct {
	cred Credentials
	pool sync.Pool // of *signing
}

// signing is what one signature needs.
type signing struct {
	mac    hash.Hash
	values []byte
	sum    []byte
}

func newSigner(c Credentials) *signer {
	s := &signer{cred: c}
	s.pool.New = func() any { return &signing{mac: hmac.New(sha1.New, []byte(c.SecretKey))} }
	return s
}

// sign adds the fields of a signature. Nothing may be changed in c after it.
func (s *signer) sign(c *command) {
	c.str("AccessKey", s.cred.AccessKey)
	if s.cred.SecurityToken != "" {
		c.str("SecurityToken", s.cred.SecurityToken)
	}
	w := s.pool.Get().(*signing)
	w.values = appendValues(w.values[:0], c)
	w.mac.Reset()
	w.mac.Write(w.values)
	w.mac.Write(c.body)
	w.sum = w.mac.Sum(w.sum[:0])
	c.str("Signature", base64.StdEncoding.EncodeToString(w.sum))
	s.pool.Put(w)
}

// appendValues appends the fields' values in the order of their names.
func appendValues(dst []byte, c *command) []byte {
	var order [maxFields]uint8
	for i := range c.n {
		j := i
		for ; j > 0 && c.fields[order[j-1]].name > c.fields[i].name; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i)
	}
	for _, i := range order[:c.n] {
		switch f := &c.fields[i]; {
		case f.name == uniqueKeyFlag: // see QueryMessages
		case f.isNum:
			dst = strconv.AppendInt(dst, f.num, 10)
		default:
			dst = append(dst, f.text...)
		}
	}
	return dst
}
