package topic

import "strings"

// P2P finds the client that a publish to name is for: name is first/p2p/client, or below that. A slash before the first level is left out, as in the Java
// proxy (org.apache.rocketmq.mqtt.common.util.TopicUtils.isP2P). is: the second level is p2p; client is empty when none is named. client is a part of name.
func P2P(name string) (client string, is bool) {
	_, second, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	level, rest, _ := strings.Cut(second, "/")
	if level != "p2p" {
		return "", false
	}
	client, _, _ = strings.Cut(rest, "/")
	return client, true
}

// Addressee is the client that gets messages of the topic name without a subscription: that of P2P, or of /p2p/client/, which is what a RocketMQ
// application's message for the client's light queue has for a topic. Empty: there is none. It is a part of name, and nothing is allocated.
func Addressee(name string) string {
	if private, ok := strings.CutPrefix(name, "/p2p/"); ok {
		client, _, _ := strings.Cut(private, "/")
		return client
	}
	client, _ := P2P(name)
	return client
}

// Addressable reports whether a client with this id can be an addressee: the id is one level of a topic's name.
func Addressable(client string) bool { return client != "" && !strings.ContainsAny(client, "/+#") }
