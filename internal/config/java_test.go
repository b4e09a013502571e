package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// javaKey is a key that the Java proxy reads.
type javaKey struct {
	file, name string
	there      string // its default; empty: none, or one that depends on the machine
	here       string // ours, when it is another one; nothing: it is only accepted
}

const without = "without meaning" // javaKey.here

// javaTable is every key that its main branch reads (org.apache.rocketmq.mqtt.cs.config.ConnectConf, ...common.config, ...ds.config.ServiceConf,
// ...meta.config.MetaConf), then those of its branches develop and develop_mqtt5.0.
func javaTable() []javaKey {
	return []javaKey{
		{ConnectConf, "nettySelectorThreadNum", "1", without},
		{ConnectConf, "nettyWorkerThreadNum", "", without},
		{ConnectConf, "mqttPort", "1883", ""},
		{ConnectConf, "mqttTlsPort", "8883", ""},
		{ConnectConf, "mqttWsPort", "8888", ""},
		{ConnectConf, "enableTlsSever", "false", ""},
		{ConnectConf, "needClientAuth", "false", ""},
		{ConnectConf, "maxPacketSizeInByte", "65536", "1048576"}, // a payload of 64 KiB does not fit there; what fitted still does
		{ConnectConf, "highWater", "262144", ""},
		{ConnectConf, "lowWater", "16384", ""},
		{ConnectConf, "maxConn", "100000", ""},
		{ConnectConf, "order", "false", without},
		{ConnectConf, "maxRetryTime", "15", without},
		{ConnectConf, "sizeOfNotRollWhenAckSlow", "32", without},
		{ConnectConf, "queueCacheSize", "128", without},
		{ConnectConf, "pullBatchSize", "32", without},
		{ConnectConf, "rpcListenPort", "7001", without},
		{ConnectConf, "retryIntervalSeconds", "3", without},
		{ConnectConf, "exporterPort", "9090", ""},
		{ConnectConf, "enablePrometheus", "false", "true"}, // as the files there say
		{ConnectConf, "exportJvmInfo", "true", without},

		{ServiceConf, "NAMESRV_ADDR", "", ""},
		{ServiceConf, "username", "", ""},
		{ServiceConf, "secretKey", "", ""},
		{ServiceConf, "eventNotifyRetryTopic", "", without},
		{ServiceConf, "clientRetryTopic", "", "off"}, // without it the Java proxy does not start
		{ServiceConf, "metaAddr", "", without},
		{ServiceConf, "clientP2pTopic", "", without},
		{ServiceConf, "authThreadNum", "32", without},
		{ServiceConf, "csRpcPort", "7001", without},
		{ServiceConf, "eventNotifyRetryMaxTime", "3", without},
		{ServiceConf, "retainMsgExpire", "259200000", "never"}, // the specification has retained messages stay
		{ServiceConf, "threadNum", "", without},
		{ServiceConf, "pullBatch", "64", without},

		{MetaConf, "selfAddress", "", without},
		{MetaConf, "membersAddress", "", without},
		{MetaConf, "raftNodePort", "8081", without},
		{MetaConf, "maxRetainedTopicNum", "10000", ""},
		{MetaConf, "electionTimeoutMs", "1000", without},
		{MetaConf, "snapshotIntervalSecs", "60000", without},
		{MetaConf, "scanNum", "10000", without},
		{MetaConf, "raftServiceName", "", without},
		{MetaConf, "allNodeAddress", "", without},
		{MetaConf, "metaPort", "25000", without},

		// develop
		{ConnectConf, "quicPort", "14567", without},
		{ConnectConf, "enableQuic", "false", without},
		{ConnectConf, "sslCaCertFile", "", ""},
		{ConnectConf, "sslServerCertFile", "", "mqtt.crt"}, // which the main branch has on its class path
		{ConnectConf, "sslServerKeyFile", "", "mqtt.key"},
		{ConnectConf, "sslServerKeyPassword", "", without},
		{ConnectConf, "maxTransferCountOnMessageInDisk", "8", without},
		{ConnectConf, "enableCoapConnect", "", without},
		{ConnectConf, "coapPort", "", without},
		{ConnectConf, "coapSessionTimeout", "", without},

		// develop_mqtt5.0
		{ConnectConf, "enableSharedSubscription", "false", without},
		{ConnectConf, "enableRetain", "false", without},
		{ConnectConf, "enableSubscriptionIdentifier", "false", without},
		{ConnectConf, "topicAliasMaximum", "10", "32"},
		{ConnectConf, "serverReceiveMaximum", "32767", "1024"}, // a bound on memory per client
	}
}

// Every key of the Java proxy is declared, in its file, with its default or a reason for another one; and no other key says that it is one.
func TestJavaKeys(t *testing.T) {
	ours := map[string]Key{}
	for _, k := range Keys() {
		switch {
		case k.Java:
			ours[k.Name] = k
		case k.There != "" || k.Differs != "":
			t.Errorf("%s is no key of the Java proxy, and cannot differ from it", k.Name)
		}
	}
	for _, j := range javaTable() {
		k, ok := ours[j.name]
		delete(ours, j.name)
		switch {
		case !ok:
			t.Errorf("%s is not declared as a key of the Java proxy", j.name)
		case k.File != j.file:
			t.Errorf("%s belongs in %s, want %s", j.name, k.File, j.file)
		case (k.Nothing != "") != (j.here == without):
			t.Errorf("%s: without meaning because of %q, want %q", j.name, k.Nothing, j.here)
		case j.here == "" && k.Default != j.there, j.here != "" && j.here != without && k.Default != j.here:
			t.Errorf("%s: default %q, want %q or %q", j.name, k.Default, j.there, j.here)
		case k.There != "" && k.There != j.there:
			t.Errorf("%s: the default there is said to be %q, want %q", j.name, k.There, j.there)
		}
	}
	for name := range ours {
		t.Errorf("%s is said to be a key of the Java proxy, and is none", name)
	}
}

// Files that set every key of the Java proxy to its default there are obeyed: nothing is unknown, misplaced or refused, and every key is either in
// force or named with the reason.
func TestJavaFilesAreObeyed(t *testing.T) {
	files := map[string]*strings.Builder{ConnectConf: {}, ServiceConf: {}, MetaConf: {}}
	for _, j := range javaTable() {
		value := j.there
		switch j.name {
		case "NAMESRV_ADDR", "selfAddress":
			value = "10.0.0.1:9876"
		case "username", "secretKey":
			value = "fleet"
		}
		if value == "" {
			value = "8"
		}
		fmt.Fprintf(files[j.file], "%s=%s\n", j.name, value)
	}
	conf := dir(t, ConnectConf, files[ConnectConf].String(), ServiceConf, files[ServiceConf].String(), MetaConf, files[MetaConf].String())
	c, r := mustLoad(t, Options{ConfDir: conf, Set: []string{"enableMetaModule=false"}})
	for _, w := range r.Warnings {
		if !strings.Contains(w, "enableTlsSever is false") {
			t.Errorf("warning: %s", w)
		}
	}
	if c.MaxPacket != 65536 || c.Exporter || c.RetainFor.Hours() != 72 || c.BindAddress != allInterfaces {
		t.Errorf("%+v", c)
	}
	for _, j := range javaTable() {
		named := slices.ContainsFunc(r.Ignored, func(s string) bool { return strings.HasPrefix(s, j.name+" ("+filepath.Join(conf, j.file)) })
		if named != (j.here == without) {
			t.Errorf("%s is named as ignored: %v", j.name, named)
		}
	}
}

// What differs is said of a conf directory of the Java proxy's, and of no other one; only what that directory sets is told apart.
func TestDiffers(t *testing.T) {
	says := func(r *Report, text string) bool {
		return slices.ContainsFunc(r.Differs, func(s string) bool { return strings.Contains(s, text) })
	}
	_, r := mustLoad(t, Options{ConfDir: dir(t, ConnectConf, "mqttPort=1\nhighWater=300000\nmaxConn=5\n"), Set: []string{"metaAddr=x"}})
	if len(r.Differs) != 0 {
		t.Errorf("a conf directory of ours differs: %q", r.Differs)
	}
	conf := dir(t, ConnectConf, "highWater=300000\n", ServiceConf, "metaAddr=x\nmaxConn=7\n")
	_, r = mustLoad(t, Options{ConfDir: conf, Set: []string{"exporterPort=1"}})
	for text, want := range map[string]bool{
		"highWater (" + filepath.Join(conf, ConnectConf) + ":1) holds QoS 1 and 2": true,
		"maxConn (" + filepath.Join(conf, ServiceConf) + ":2) has":                 true,
		"exporterPort (": false, // nobody said it there
		"maxPacketSizeInByte is not set: 1048576 here":    true,
		"bindAddress (default)=127.0.0.1":                 true,
		"exporterAddress (default)=127.0.0.1":             true,
		"those that a Java meta service has are not read": true,
		"RocketMQ is waited for":                          false,
		"refused":                                         false,
		"port 7001":                                       true,
	} {
		if says(r, text) != want {
			t.Errorf("says %q: %v, want %v; all of it: %q", text, !want, want, r.Differs)
		}
	}
	login := []string{"username=u", "secretKey=s", "exporterAddress=*", "enableMetaModule=false", "NAMESRV_ADDR=h:1"}
	_, r = mustLoad(t, Options{ConfDir: conf, Set: login})
	for text, want := range map[string]bool{
		"bindAddress": false, "exporterAddress": false, "enableMetaModule (--set): retained messages and wills are refused": true, "RocketMQ is waited for": true,
	} {
		if says(r, text) != want {
			t.Errorf("says %q: %v, want %v; all of it: %q", text, !want, want, r.Differs)
		}
	}
}
