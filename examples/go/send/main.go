// Command send sends a message to devices: those that have subscribed to its MQTT topic get it.
//
//	go run ./send 127.0.0.1:9876 fleet/7/set on
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: send NAMESRV MQTT-TOPIC PAYLOAD")
	}
	namesrv, mqttTopic, payload := os.Args[1], os.Args[2], os.Args[3]
	p, err := rocketmq.NewProducer(
		producer.WithNameServer([]string{namesrv}),
		producer.WithGroupName("send"),
	)
	check(err)
	check(p.Start())

	topic, _, _ := strings.Cut(mqttTopic, "/") // the RocketMQ topic must be the first level
	m := primitive.NewMessage(topic, []byte(payload))
	m.WithProperty("mqttTopic", mqttTopic)
	m.WithProperty("contentType", "text/plain")     // these two are properties of MQTT 5
	m.WithProperty("messageExpiryInterval", "3600") // seconds
	m.WithProperty("sender", "application")         // and any other name is a user property there
	result, err := p.SendSync(context.Background(), m)
	check(err)
	fmt.Println("sent", result.MsgID)
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
