// Package config turns the conf files, the environment and the command line into one checked Config.
//
// The files are those of the Java proxy (connect.conf, service.conf, meta.conf: Java properties), with its keys, and ours
// beside them. Every key is declared once, in keys*.go: parsing, the effective configuration that `rocketmqtt check`
// prints, the tables in README.md and the files in conf/ all come from that declaration.
//
// A value is taken from the first of these that names the key:
//
//	--set key=value      (the last one, when given twice)
//	ROCKETMQTT_<KEY>     the key in capitals, words split by "_": mqttPort is ROCKETMQTT_MQTT_PORT
//	the conf files       (the last line, when there are several)
//	the default
//
// An empty value stands for the default, as in the files that the Java proxy ships with.
//
// The package has no state, starts nothing and opens no port.
package config
