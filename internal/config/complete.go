package config

import (
	"errors"
)

// complete applies the rules between keys: it fills in defaults that depend on other keys, and refuses what cannot work
// or is not safe.
func (l *loader) complete(confDir string) {
	l.chooseStore()
	l.p2p()
	l.rocketmq(confDir)
	l.firstTopics()
	l.events()
	l.login()
	l.listeners()
	l.transport(confDir)
	l.sizes()
}

// p2p: who has a RocketMQ may come from the Java proxy, which always delivers them.
func (l *loader) p2p() {
	if c := l.config; !l.set("p2p") {
		c.P2P = c.Store == StoreRocketMQ
		l.why["p2p"] = "default: store=" + c.Store
	}
}

// events keeps the messages about clients apart from what clients publish.
func (l *loader) events() {
	c := l.config
	if c.ClientEventTopic != "" && c.ClientEventTopic == c.DefaultTopic {
		l.fail("%s and %s are both %s: clients may not publish to the first, and what they publish is in the second", l.where("clientEventTopic"), l.where("defaultTopic"), c.DefaultTopic)
	}
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
