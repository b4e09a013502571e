package config

import "fmt"

// differ says what will not be as with the Java proxy on the same files: of the keys that they set, of defaults that are others, and of
// what no key says. Conf directories that were not written for it have none of its keys that mean nothing here, without some of which it does not start
// (eventNotifyRetryTopic, clientRetryTopic, metaAddr); of them there is nothing to say.
func (l *loader) differ() {
	if !l.fromJava() {
		return
	}
	for i := range l.keys {
		k := &l.keys[i]
		s, said := l.said[k.Name]
		switch {
		case said && s.file != "" && k.Differs != "":
			l.differs("%s (%s) %s", k.Name, s.from, k.Differs)
		case !said && k.There != "":
			l.differs("%s is not set: %s here, %s there", k.Name, k.Default, k.There)
		}
	}
	l.differBeyondKeys()
}

func (l *loader) differs(format string, args ...any) {
	l.report.Differs = append(l.report.Differs, fmt.Sprintf(format, args...))
}

// fromJava reports whether the conf files have a key that only the Java proxy has a use for.
func (l *loader) fromJava() bool {
	for name, s := range l.said {
		if s.file != "" && l.index[name].Nothing != "" {
			return true
		}
	}
	return false
}

// differBeyondKeys is about ports, processes and what a Java cluster keeps.
func (l *loader) differBeyondKeys() {
	c := l.config
	if onLoopback(c.BindAddress) {
		l.differs("clients can connect from this machine only (%s=%s), there from anywhere", l.where("bindAddress"), c.BindAddress)
	}
	if c.Exporter && onLoopback(c.ExporterAddress) {
		l.differs("metrics and health are for this machine only (%s=%s), there for all", l.where("exporterAddress"), c.ExporterAddress)
	}
	if c.Store == StoreRocketMQ {
		l.differs("RocketMQ is waited for when it is not there; topics are created, filters need not be registered, and brokers need neither enableLmq nor enableMultiDispatch")
	}
	l.differs("port 7001 is not opened, and no node sends another anything: each reads RocketMQ")
	if c.MetaModule {
		l.differs("no meta process is started: retained messages and wills are kept by this one; those that a Java meta service has are not read")
	} else {
		l.differs("no meta process is started, and %s: retained messages and wills are refused", l.where("enableMetaModule"))
	}
	l.differs("the files are read at the start only; there every 3 s when they have changed")
}
