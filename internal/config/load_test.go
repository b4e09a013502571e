package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// dir writes conf files and returns their directory. files alternates names and contents.
func dir(t *testing.T, files ...string) string {
	t.Helper()
	d := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(d, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func mustLoad(t *testing.T, o Options) (*Config, *Report) {
	t.Helper()
	c, r, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// What a broker without any configuration does is a promise; every field is spelled out.
func TestDefaults(t *testing.T) {
	c, r := mustLoad(t, Options{})
	want := &Config{
		BindAddress: "127.0.0.1", MQTTPort: 1883, TLSPort: Off, WSPort: 8888, WSSPort: Off,
		Exporter: true, ExporterAddress: "127.0.0.1", ExporterPort: 9090,
		TLSCert: "mqtt.crt", TLSKey: "mqtt.key",
		MaxConnections: 100_000, ConnectTimeout: 10 * time.Second, MaxPacket: 1 << 20,
		HighWater: 262_144, LowWater: 16_384, StopTimeout: 10 * time.Second,
		MaxSessionExpiry: 7 * 24 * time.Hour, ReceiveMaximum: 1024, SendWindow: 1024, TopicAliases: 32, MaxSubscriptions: 10_000, MaxSessions: 1_000_000,
		AllowAnonymous: true, LoopbackOnly: true,
		Store: StoreEmbedded, DataDir: "data", SyncFlush: true, SegmentSize: 64 << 20,
		RetentionTime: 72 * time.Hour, DiskReserve: 256 << 20,
		DefaultTopic: "MQTT_DEFAULT", MaxFirstTopics: 256, TopicQueues: 8, QueueFailover: 10 * time.Second, MaxPendingBytes: 64 << 20, MaxRecentBytes: 64 << 20, MaxIndexBytes: 1 << 30, LMQDispatch: LMQAuto, MaxLMQs: 20_000,
		MetaModule: true, RetainFor: Never, MaxRetained: 10_000, MaxRetainedBytes: 1 << 30, LogLevel: slog.LevelInfo, LogFormat: LogText,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if len(r.Warnings)+len(r.Ignored) > 0 {
		t.Errorf("warnings %q, ignored %q", r.Warnings, r.Ignored)
	}
}

func TestPrecedence(t *testing.T) {
	conf := dir(t, ConnectConf, "mqttPort=1\nmaxConn=2\nmqttWsPort=3\n")
	c, r := mustLoad(t, Options{
		ConfDir: conf,
		Environ: []string{"ROCKETMQTT_MQTT_PORT=11", "ROCKETMQTT_MAXCONN=12", "ROCKETMQTT_CONF=x", "PATH=/bin"},
		Set:     []string{"mqttPort=20", "mqttPort=21", "dataDir=elsewhere"},
		DataDir: "here",
	})
	if c.MQTTPort != 21 || c.MaxConnections != 12 || c.WSPort != 3 || c.DataDir != "here" || c.HighWater != 262_144 {
		t.Errorf("%+v", c)
	}
	sources := map[string]string{}
	for _, v := range r.Values {
		sources[v.Key] = v.Source
	}
	for key, want := range map[string]string{
		"mqttPort": "--set", "maxConn": "ROCKETMQTT_MAXCONN", "dataDir": "--data-dir", "highWater": "default",
		"mqttWsPort": filepath.Join(conf, ConnectConf) + ":3", "mqttTlsPort": "enableTlsSever is false",
	} {
		if sources[key] != want {
			t.Errorf("source of %s: %q, want %q", key, sources[key], want)
		}
	}
}

// An empty value asks for the default, also where a weaker source says something else.
func TestEmptyIsDefault(t *testing.T) {
	conf := dir(t, ServiceConf, "username=\nsecretKey=  \nlogLevel=debug\n")
	c, _ := mustLoad(t, Options{ConfDir: conf, Set: []string{"logLevel="}})
	if c.Username != "" || c.SecretKey != "" || c.LogLevel != slog.LevelInfo {
		t.Errorf("%+v", c)
	}
}

// The files of the Java distribution, its sample values included, are understood but for retained messages and wills.
func TestJavaConf(t *testing.T) {
	conf := dir(t,
		ConnectConf, "mqttPort=1884\nmaxPacketSizeInByte=1048576\nnettyWorkerThreadNum=8\nenablePrometheus=true\nexporterPort=9091\n",
		ServiceConf, "username=rocketmq\nsecretKey=12345678\nNAMESRV_ADDR=10.0.0.1:9876;10.0.0.2:9876\n"+
			"eventNotifyRetryTopic=n\nclientRetryTopic=r\nmetaAddr=10.0.0.3:8081\n",
		MetaConf, "selfAddress=10.0.0.3:8081\nmembersAddress=10.0.0.3:8081,10.0.0.4:8081\n")
	c, r := mustLoad(t, Options{ConfDir: conf})
	if c.Store != StoreRocketMQ || !c.MetaModule || len(c.NamesrvAddr) != 2 || len(r.Warnings) != 0 {
		t.Errorf("%+v, warnings %q", c, r.Warnings)
	}
	if len(r.Ignored) != 5 || c.RetryTopic != "r" {
		t.Errorf("ignored: %q", r.Ignored)
	}
	c, r = mustLoad(t, Options{ConfDir: conf, Set: []string{"store=embedded"}})
	if c.MQTTPort != 1884 || c.MaxPacket != 1<<20 || !c.Authenticated() || c.BindAddress != "*" || c.AllowAnonymous || c.ListenExporter() != "127.0.0.1:9091" {
		t.Errorf("%+v", c)
	}
	if len(c.NamesrvAddr) != 2 || len(r.Warnings) != 1 {
		t.Errorf("name servers %q, warnings %q", c.NamesrvAddr, r.Warnings)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		conf string   // service.conf
		set  []string // beside it
		want string   // in the error
	}{
		{"events among messages", "", []string{"clientEventTopic=MQTT_DEFAULT"}, "clientEventTopic (--set) and defaultTopic (default) are both MQTT_DEFAULT"},
		{"events are no topic", "", []string{"clientEventTopic=a/b"}, "want a topic name of letters"},
		{"number", "", []string{"maxConn=many"}, `--set: maxConn="many": want a whole number from 1 to 10000000`},
		{"file and line", "\n# c\nmqttPort=65536", nil, `service.conf:3: mqttPort="65536": want a port from 1 to 65535, 0 for any free one, or off`},
		{"bool", "", []string{"enableTlsSever=yes"}, "want true or false"},
		{"size", "", []string{"segmentSize=64 MiB"}, "want bytes from 1MB to 1GB, as a number or with KB, MB or GB"},
		{"size beyond", "", []string{"segmentSize=2GB"}, "want bytes from 1MB to 1GB"},
		{"size overflow", "", []string{"diskReserve=9999999999999GB"}, "want bytes"},
		{"time without unit", "", []string{"connectTimeout=10"}, "want a time from 1s to 10m, with ms, s, m, h or d"},
		{"time not endless", "", []string{"connectTimeout=never"}, "want a time"},
		{"word", "", []string{"flushDiskType=FLUSH"}, "want SYNC_FLUSH or ASYNC_FLUSH"},
		{"level", "", []string{"logLevel=trace"}, "want debug, info, warn or error"},
		{"address", "", []string{"bindAddress=localhost"}, "want an IP address, or *"},
		{"name server", "", []string{"NAMESRV_ADDR=10.0.0.1"}, "want host:port"},
		{"first topic", "", []string{"staticFirstTopics=a,#"}, `"#": want topic names`},
		{"first topic in Unicode", "staticFirstTopics=a,größe,b", nil, `"größe": want topic names`},
		{"first topic with a percent sign", "", []string{"staticFirstTopics=%RETRY%g"}, `"%RETRY%g": want topic names`},
		{"first topic too long", "", []string{"staticFirstTopics=a," + strings.Repeat("x", 128)}, "want topic names"},
		{"more first topics than may be", "", onRocketMQ("maxFirstTopics=1", "staticFirstTopics=a,b/c"), "staticFirstTopics (--set) names 2 first levels, more than maxFirstTopics (--set)=1"},
		{"default topic", "", []string{"defaultTopic=a/b"}, "want a topic name"},
		{"reserved first topic", "", []string{"staticFirstTopics=$SYS"}, "want topic names"},
		{"no equals sign", "", []string{"mqttPort"}, "--set mqttPort: want key=value"},
		{"no name server", "", []string{"store=rocketmq", "enableMetaModule=false"}, "store (--set): set NAMESRV_ADDR"},
		{"access key alone", "", onRocketMQ("rocketmqAccessKey=a"), "rocketmqAccessKey (--set) is set, but rocketmqSecretKey is not"},
		{"RocketMQ's secret key alone", "", onRocketMQ("rocketmqSecretKey=s"), "rocketmqSecretKey (--set) is set, but rocketmqAccessKey is not"},
		{"security token alone", "", onRocketMQ("rocketmqSecurityToken=s"), "set all three, or none"},
		{"no authority of RocketMQ", "", onRocketMQ("rocketmqTls=true", "rocketmqCaCertFile=/missing"), "rocketmqCaCertFile (--set): open /missing"},
		{"authority of RocketMQ is none", "", onRocketMQ("rocketmqTls=true", "rocketmqCaCertFile="+os.Args[0]), "rocketmqCaCertFile (--set)"},
		{"name alone", "username=u", nil, "secretKey is not: set both"},
		{"key alone", "secretKey=k", nil, "username is not: set both"},
		{"open without login", "", []string{"bindAddress=0.0.0.0"}, "say allowAnonymous=true"},
		{"open IPv6 without login", "", []string{"bindAddress=::"}, "say allowAnonymous=true"},
		{"open on one interface", "", []string{"bindAddress=192.0.2.1"}, "say allowAnonymous=true"},
		{"nobody can log in", "", []string{"allowAnonymous=false"}, "nobody could connect"},
		{"same port", "", []string{"mqttWsPort=1883"}, "mqttPort (default) and mqttWsPort (--set) are both 1883"},
		{"same port as metrics", "", []string{"mqttPort=9090"}, "mqttPort (--set) and exporterPort (default) are both 9090"},
		{"no listener", "", []string{"mqttPort=off", "mqttWsPort=off"}, "every listener is off"},
		{"no certificate", "", []string{"enableTlsSever=true"}, "sslServerCertFile (default): open "},
		{"no authority", "", []string{"enableTlsSever=true", "needClientAuth=true"}, "set sslCaCertFile"},
		{"water marks", "", []string{"lowWater=262144"}, "must be below highWater"},
		{"packet and segment", "", []string{"segmentSize=1MB", "maxPacketSizeInByte=1000000"}, "at most half of segmentSize"},
		{"retention and segment", "", []string{"retentionBytes=64MB"}, "at least twice segmentSize"},
		{"escape", `mqttPort=\u00zz`, nil, "service.conf:1: not a line of Java properties"},
		{"encoding", "localAddress=\xff", nil, "service.conf:1: not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, r, err := Load(Options{ConfDir: dir(t, ServiceConf, tt.conf), Set: tt.set})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			if !errors.Is(err, ErrInvalid) || c != nil || r == nil {
				t.Errorf("ErrInvalid %v, Config %v, Report %v", errors.Is(err, ErrInvalid), c, r)
			}
		})
	}
}

func TestConfDirRefused(t *testing.T) {
	for _, d := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, _, err := Load(Options{ConfDir: d}); err == nil || !strings.Contains(err.Error(), "conf directory") {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// Every mistake is told at once.
func TestAllMistakes(t *testing.T) {
	_, _, err := Load(Options{Set: []string{"maxConn=x", "logLevel=y", "z"}})
	if n := strings.Count(err.Error(), "\n"); n != 3 {
		t.Errorf("%d lines in %v", n, err)
	}
}

func TestAnonymous(t *testing.T) {
	login := []string{"username=u", "secretKey=k"}
	tests := []struct {
		name           string
		set            []string
		bind           string
		anonymous      bool
		onlyOnLoopback bool
	}{
		{"nothing said", nil, "127.0.0.1", true, true},
		{"IPv6 loopback", []string{"bindAddress=::1"}, "::1", true, true},
		{"mapped loopback", []string{"bindAddress=::ffff:127.0.0.1"}, "::ffff:127.0.0.1", true, true},
		{"said", []string{"allowAnonymous=true"}, "127.0.0.1", true, false},
		{"open and said", []string{"bindAddress=*", "allowAnonymous=true"}, "*", true, false},
		{"login", login, "*", false, true},
		{"login on loopback", append(login, "bindAddress=127.0.0.1"), "127.0.0.1", false, true},
		{"login and anonymous", append(login, "allowAnonymous=true"), "*", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := mustLoad(t, Options{Set: tt.set})
			if c.BindAddress != tt.bind || c.AllowAnonymous != tt.anonymous || c.AllowAnonymous && c.LoopbackOnly != tt.onlyOnLoopback {
				t.Errorf("bind %s, anonymous %v, loopback only %v", c.BindAddress, c.AllowAnonymous, c.LoopbackOnly)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"near", Options{Set: []string{"mqtPort=1"}}, `--set: no key is called "mqtPort"; did you mean mqttPort?`},
		{"case", Options{Set: []string{"mqttport=1"}}, "did you mean mqttPort?"},
		{"near a key without meaning", Options{Set: []string{"metaAdr=1"}}, "did you mean metaAddr?"},
		{"far", Options{Set: []string{"completelyDifferent=1"}}, `no key is called "completelyDifferent"`},
		{"environment", Options{Environ: []string{"ROCKETMQTT_MQTT_PROT=1"}}, "ROCKETMQTT_MQTT_PROT: no such key; did you mean ROCKETMQTT_MQTT_PORT?"},
		{"twice", Options{Set: []string{"maxConn=1", "maxConn=2"}}, "maxConn was said before (--set)"},
		{"TLS off", Options{Set: []string{"mqttTlsPort=1"}}, "mqttTlsPort (--set) does nothing: enableTlsSever is false"},
		{"deep first topic", Options{Set: []string{"staticFirstTopics=a,iot/devices"}}, "iot/devices stands for its first level, iot"},
		{"name servers for nothing", Options{Set: []string{"store=embedded", "NAMESRV_ADDR=h:1"}}, "NAMESRV_ADDR (--set) is not used with store=embedded"},
		{"access key for nothing", Options{Set: []string{"rocketmqAccessKey=a"}}, "rocketmqAccessKey (--set) is not used with store=embedded"},
		{"authority for nothing", Options{Set: onRocketMQ("rocketmqCaCertFile=x")}, "rocketmqCaCertFile (--set) does nothing: rocketmqTls is false"},
		{"larger than brokers take", Options{Set: onRocketMQ("maxPacketSizeInByte=16MB")}, "unless their maxMessageSize says more"},
		{"space in secret", Options{Set: []string{"username=u", "secretKey=k "}}, "secretKey begins or ends with white space"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r := mustLoad(t, tt.o)
			if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], tt.want) {
				t.Errorf("got %q, want %q", r.Warnings, tt.want)
			}
		})
	}
	conf := dir(t, ConnectConf, "store=embedded\n", ServiceConf, "store=embedded\n")
	_, r := mustLoad(t, Options{ConfDir: conf})
	if len(r.Warnings) != 2 || !strings.Contains(r.Warnings[0], "store belongs in service.conf") || !strings.Contains(r.Warnings[1], "connect.conf:1); this one counts") {
		t.Errorf("key in the wrong file: %q", r.Warnings)
	}
}

func TestStaticFirstTopics(t *testing.T) {
	c, _ := mustLoad(t, Options{Set: []string{"staticFirstTopics=topicA, iot/devices,/iot,t_-1,"}})
	if got, want := c.StaticFirstTopics, []string{"topicA", "iot", "t_-1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A secret is in no error, no warning and no report, wherever it was said and however wrong it was.
func TestSecretsAreNotShown(t *testing.T) {
	const canary = "canary-7f3a"
	for _, o := range []Options{
		{Set: []string{"username=u", "secretKey=" + canary}},
		{Set: []string{"username=u", "secretKey= " + canary, "secretKey=" + canary}},
		{Set: []string{"secretKey=" + canary}},
		{Environ: []string{"ROCKETMQTT_SECRET_KEY=" + canary}},
		{ConfDir: dir(t, ServiceConf, "secretKey="+canary+"\n"), Set: []string{"maxConn=x"}},
		{Set: []string{"sslServerKeyPassword=" + canary}},
		{Set: onRocketMQ("rocketmqAccessKey=a", "rocketmqSecretKey="+canary, "rocketmqSecurityToken="+canary)},
		{Set: onRocketMQ("rocketmqSecretKey=" + canary)},
		{Set: onRocketMQ("rocketmqSecurityToken=" + canary)},
		{Set: []string{"secretKye=" + canary}},
		{Environ: []string{"ROCKETMQTT_SECRETKYE=" + canary}},
	} {
		_, r, err := Load(o)
		var b strings.Builder
		if werr := r.Write(&b); werr != nil {
			t.Fatal(werr)
		}
		if strings.Contains(b.String(), canary) || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%+v:\n%s%v", o, b.String(), err)
		}
	}
}

// Metrics have no login: who else can read them does not follow from who can connect.
func TestExporter(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  []string
		want string
	}{
		{"default", nil, "127.0.0.1:9090"},
		{"open to clients", []string{"username=u", "secretKey=k"}, "127.0.0.1:9090"},
		{"open to clients, said", []string{"bindAddress=*", "allowAnonymous=true"}, "127.0.0.1:9090"},
		{"open", []string{"exporterAddress=*"}, ":9090"},
		{"elsewhere", []string{"exporterAddress=::1", "exporterPort=0"}, "[::1]:0"},
		{"off", []string{"exporterPort=off"}, ""},
		{"Java's way", []string{"enablePrometheus=false"}, ""},
		{"Java's way, and an MQTT port that is free thereby", []string{"enablePrometheus=false", "mqttPort=9090"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := mustLoad(t, Options{Set: tt.set})
			if got := c.ListenExporter(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestListenAddress(t *testing.T) {
	for bind, want := range map[string]string{"*": ":1883", "127.0.0.1": "127.0.0.1:1883", "::1": "[::1]:1883"} {
		c := Config{BindAddress: bind}
		if got := c.Listen(1883); got != want {
			t.Errorf("%s: got %s, want %s", bind, got, want)
		}
	}
}

// The Java proxy's retainMsgExpire is a number of milliseconds; with a unit it is as every other time.
func TestRetainMsgExpire(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"259200000": 72 * time.Hour, "1h": time.Hour, "never": Never, "5000ms": 5 * time.Second, "0": 0, "-5": 0, "soon": 0, "10": 0,
	} {
		c, _, err := Load(Options{Set: []string{"retainMsgExpire=" + value}})
		switch {
		case want == 0 && !errors.Is(err, ErrInvalid):
			t.Errorf("%s: %v", value, err)
		case want != 0 && (err != nil || c.RetainFor != want):
			t.Errorf("%s: %v, want %v", value, err, want)
		}
	}
}

// onRocketMQ is what store=rocketmq needs, and set beside it.
func onRocketMQ(set ...string) []string {
	return append([]string{"NAMESRV_ADDR=127.0.0.1:9876", "enableMetaModule=false"}, set...)
}

// The file of the request that RocketMQ without a meta module begins with.
func TestMetaOffOnRocketMQ(t *testing.T) {
	conf := dir(t, ServiceConf, "enableMetaModule=false\nstaticFirstTopics=topicA,iot/devices\nlocalAddress=192.168.1.100\nNAMESRV_ADDR=192.168.1.200:9876\n")
	c, r := mustLoad(t, Options{ConfDir: conf})
	if c.Store != StoreRocketMQ || c.MetaModule || !reflect.DeepEqual(c.StaticFirstTopics, []string{"topicA", "iot"}) || c.LocalIP().String() != "192.168.1.100" {
		t.Errorf("%+v", c)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "service.conf:2): iot/devices stands for its first level, iot") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// What localAddress is when it is an address; any other text is a label only.
func TestLocalIP(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "fe80::1%eth0": "fe80::1", "node-a": "invalid IP", "10.0.0.1:1883": "invalid IP", "": "invalid IP",
	} {
		c := Config{LocalAddress: address}
		if got := c.LocalIP().String(); got != want {
			t.Errorf("%q: got %s, want %s", address, got, want)
		}
	}
}

// "off" is no topic: an empty value would be the default.
func TestDefaultTopic(t *testing.T) {
	for value, want := range map[string]string{"": "MQTT_DEFAULT", "off": "", "fleet": "fleet"} {
		if c, _ := mustLoad(t, Options{Set: []string{"defaultTopic=" + value}}); c.DefaultTopic != want {
			t.Errorf("%q: got %q, want %q", value, c.DefaultTopic, want)
		}
	}
}
