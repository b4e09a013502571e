package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// complete applies the rules between keys: it fills in defaults that depend on other keys, and refuses what cannot work
// or is not safe.
func (l *loader) complete(confDir string) {
	l.chooseStore()
	l.firstTopics()
	l.login()
	l.listeners()
	l.transport(confDir)
	l.sizes()
}

func (l *loader) chooseStore() {
	c := l.config
	switch {
	case c.Store == "" && len(c.NamesrvAddr) > 0:
		c.Store = StoreRocketMQ
		l.why["store"] = "default: NAMESRV_ADDR is set"
	case c.Store == "":
		c.Store = StoreEmbedded
		l.why["store"] = "default: NAMESRV_ADDR is not set"
	}
	switch {
	case c.Store == StoreRocketMQ && !l.set("store"):
		l.fail("%s asks for messages to be kept in RocketMQ, which this version cannot do yet; to run on the embedded store, set store=embedded", l.where("NAMESRV_ADDR"))
	case c.Store == StoreRocketMQ:
		l.fail("%s: this version has the embedded store only; set store=embedded", l.where("store"))
	case len(c.NamesrvAddr) > 0:
		l.warn("%s is not used with store=embedded", l.where("NAMESRV_ADDR"))
	}
}

// firstTopics cuts entries down to their first level and drops duplicates.
func (l *loader) firstTopics() {
	var out []string
	for _, t := range l.config.StaticFirstTopics {
		first, rest, deeper := strings.Cut(strings.TrimPrefix(t, "/"), "/")
		if deeper && rest != "" {
			l.warn("%s: %s stands for its first level, %s", l.where("staticFirstTopics"), t, first)
		}
		if !slices.Contains(out, first) {
			out = append(out, first)
		}
	}
	l.config.StaticFirstTopics = out
}

// firstTopic is what both an MQTT first level and the name of a RocketMQ topic can be.
var firstTopic = regexp.MustCompile(`^/?[a-zA-Z0-9_|-][a-zA-Z0-9_|%-]{0,126}(/.*)?$`)

func firstTopics() kind[[]string] {
	k := list(",", "topic names of letters, digits and _ - | %, at most 127 long, separated by commas", func(s string) error {
		if !firstTopic.MatchString(s) {
			return errNotAllowed
		}
		return nil
	})
	return k
}

// login decides who may connect from where. Without any login only this machine can reach the broker, unless the
// operator says allowAnonymous=true.
func (l *loader) login() {
	c := l.config
	switch {
	case c.Username != "" && c.SecretKey == "":
		l.fail("%s is set, but secretKey is not: set both, or neither", l.where("username"))
		return
	case c.Username == "" && c.SecretKey != "":
		l.fail("%s is set, but username is not: set both, or neither", l.where("secretKey"))
		return
	}
	if !l.set("bindAddress") {
		c.BindAddress, l.why["bindAddress"] = loopback, "default: username and secretKey are not set"
		if c.Authenticated() {
			c.BindAddress, l.why["bindAddress"] = allInterfaces, "default: username and secretKey are set"
		}
	}
	if !l.set("allowAnonymous") {
		c.AllowAnonymous, c.LoopbackOnly = !c.Authenticated(), true
		l.why["allowAnonymous"] = "default: username and secretKey are set"
		if c.AllowAnonymous {
			l.why["allowAnonymous"] = "default: from this machine only"
		}
	}
	switch {
	case c.Authenticated() || c.AllowAnonymous && !c.LoopbackOnly:
	case !c.AllowAnonymous:
		l.fail("%s: without username and secretKey nobody could connect: set both", l.where("allowAnonymous"))
	case !onLoopback(c.BindAddress):
		l.fail("%s=%s opens the broker to other machines, and no client would have to log in: set username and secretKey, or say allowAnonymous=true",
			l.where("bindAddress"), c.BindAddress)
	}
}

func (l *loader) listeners() {
	c := l.config
	if !c.TLS {
		for _, k := range []string{"mqttTlsPort", "mqttWssPort", "needClientAuth", "sslServerCertFile", "sslServerKeyFile", "sslCaCertFile"} {
			if l.set(k) {
				l.warn("%s does nothing: enableTlsSever is false", l.where(k))
			}
		}
		c.TLSPort, c.WSSPort = Off, Off
		l.why["mqttTlsPort"], l.why["mqttWssPort"] = "enableTlsSever is false", "enableTlsSever is false"
	}
	if !c.Exporter {
		c.ExporterPort, l.why["exporterPort"] = Off, "enablePrometheus is false"
	}
	used := map[Port]string{}
	for _, p := range []struct {
		key  string
		port Port
	}{
		{"mqttPort", c.MQTTPort},
		{"mqttTlsPort", c.TLSPort},
		{"mqttWsPort", c.WSPort},
		{"mqttWssPort", c.WSSPort},
		{"exporterPort", c.ExporterPort},
	} {
		if p.port == Off {
			continue
		}
		if other, taken := used[p.port]; taken && p.port != 0 {
			l.fail("%s and %s are both %s", l.where(other), l.where(p.key), p.port)
		}
		used[p.port] = p.key
	}
	if c.MQTTPort == Off && c.TLSPort == Off && c.WSPort == Off && c.WSSPort == Off {
		l.fail("every listener is off: set mqttPort, mqttWsPort, or enableTlsSever=true")
	}
}

// transport finds the TLS files and sees that they can be used.
func (l *loader) transport(confDir string) {
	c := l.config
	c.TLSCert, c.TLSKey, c.TLSClientCA = resolve(confDir, c.TLSCert), resolve(confDir, c.TLSKey), resolve(confDir, c.TLSClientCA)
	if !c.TLS {
		return
	}
	if c.TLSClientAuth && c.TLSClientCA == "" {
		l.fail("%s: set sslCaCertFile to the authorities whose certificates clients may show", l.where("needClientAuth"))
		return
	}
	_, err := c.TLSConfig()
	var bad *tlsFileError
	switch {
	case errors.As(err, &bad):
		l.fail("%s: %w", l.where(bad.key), bad.err)
	case err != nil:
		l.fail("TLS: %w", err)
	}
}

func (l *loader) sizes() {
	c := l.config
	if c.LowWater >= c.HighWater {
		l.fail("%s=%d must be below %s=%d", l.where("lowWater"), c.LowWater, l.where("highWater"), c.HighWater)
	}
	if int64(c.MaxPacket) > c.SegmentSize/2 {
		l.fail("%s=%d must be at most half of %s=%d", l.where("maxPacketSizeInByte"), c.MaxPacket, l.where("segmentSize"), c.SegmentSize)
	}
	if c.RetentionBytes > 0 && c.RetentionBytes < 2*c.SegmentSize {
		l.fail("%s=%d must be 0 or at least twice %s=%d: the log shrinks by whole files", l.where("retentionBytes"), c.RetentionBytes, l.where("segmentSize"), c.SegmentSize)
	}
}
