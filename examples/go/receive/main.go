// Command receive prints what devices publish: it consumes a RocketMQ topic, and of that what came through MQTT.
//
//	go run ./receive 127.0.0.1:9876 fleet
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: receive NAMESRV TOPIC")
	}
	namesrv, topic := os.Args[1], os.Args[2] // the topic is the first level of the MQTT topics
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer([]string{namesrv}),
		consumer.WithGroupName("receive-"+topic),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), // a new group begins with what is there
	)
	check(err)
	fromDevices := consumer.MessageSelector{Type: consumer.TAG, Expression: "MQTT_COMMON"}
	check(c.Subscribe(topic, fromDevices, receive))
	check(c.Start())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	check(c.Shutdown())
}

// receive is called with one message by default; several goroutines call it. A message may come twice: UNIQ_KEY is its id.
func receive(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	for _, m := range messages {
		payload := m.Body
		if m.GetProperty("IS_EMPTY_MSG") == "true" {
			payload = nil // RocketMQ takes no empty body: what is there stands for one
		}
		fmt.Printf("%s QoS %s: %s\n", m.GetProperty("originMqttTopic"), m.GetProperty("qosLevel"), payload)
	}
	return consumer.ConsumeSuccess, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
