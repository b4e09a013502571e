package rocketmqtest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// ACL is an account that may do everything; whoever signs with another or not at all may do nothing. 4.9.7 and 5.1.4 keep it in
// conf/plain_acl.yml (aclEnable=true) and answer others with code 1 (SYSTEM_ERROR); 5.4.0 and 5.5.0 in their store (authenticationEnabled=true), and
// answer with code 16 (NO_PERMISSION). Secrets shorter than seven characters are refused by 4.9.7 and 5.1.4.
type ACL struct {
	AccessKey, SecretKey string
}

const (
	plainACL = "conf/plain_acl.yml" // below rocketmq.home.dir
	authImpl = "org.apache.rocketmq.auth.authentication.provider."
)

// plainACL reports whether this version has the older kind.
func (c *Cluster) plainACL() bool { return c.opts.Version == V497 || c.opts.Version == V514 }

func (b *Broker) configureACL() error {
	a := b.c.opts.ACL
	switch {
	case a == nil:
		return nil
	case b.c.plainACL():
		return b.configurePlainACL(a)
	}
	user, err := json.Marshal(map[string]string{"username": a.AccessKey, "password": a.SecretKey})
	if err != nil {
		return err
	}
	inner, err := json.Marshal(map[string]string{"accessKey": a.AccessKey, "secretKey": a.SecretKey})
	if err != nil {
		return err
	}
	b.Conf("authenticationEnabled", "true")
	b.Conf("authenticationProvider", authImpl+"DefaultAuthenticationProvider")
	b.Conf("authenticationMetadataProvider", authImpl+"LocalAuthenticationMetadataProvider")
	b.Conf("initAuthenticationUser", string(user))
	b.Conf("innerClientAuthenticationCredentials", string(inner))
	return nil
}

func (b *Broker) configurePlainACL(a *ACL) error {
	b.Conf("aclEnable", "true")
	yml := fmt.Sprintf("accounts:\n- accessKey: %q\n  secretKey: %q\n  admin: true\n", a.AccessKey, a.SecretKey)
	return os.WriteFile(filepath.Join(b.dir, plainACL), []byte(yml), 0o600)
}

// signed adds what AclClientRPCHook adds: the HMAC of all values, in order of their names, and the body.
func signed(fields map[string]string, body []byte, by *ACL) {
	fields["AccessKey"] = by.AccessKey
	mac := hmac.New(sha1.New, []byte(by.SecretKey))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		mac.Write([]byte(fields[name]))
	}
	mac.Write(body)
	fields["Signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
