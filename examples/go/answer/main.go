// Command answer answers what devices ask: an MQTT 5 request has a response topic and correlation data, which the answer needs to have too.
//
//	go run ./answer 127.0.0.1:9876 fleet
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: answer NAMESRV TOPIC")
	}
	namesrv, topic := []string{os.Args[1]}, os.Args[2]
	p, err := rocketmq.NewProducer(producer.WithNameServer(namesrv), producer.WithGroupName("answer-"+topic))
	check(err)
	check(p.Start())
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(namesrv), consumer.WithGroupName("answer-"+topic),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	fromDevices := consumer.MessageSelector{Type: consumer.TAG, Expression: "MQTT_COMMON"} // not the answers
	check(c.Subscribe(topic, fromDevices, func(ctx context.Context, requests ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, request := range requests {
			if err := answer(ctx, p, request); err != nil {
				log.Print(err)
				return consumer.ConsumeRetryLater, nil
			}
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(c.Start())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	check(c.Shutdown())
	check(p.Shutdown())
}

func answer(ctx context.Context, p rocketmq.Producer, request *primitive.MessageExt) error {
	responseTopic := request.GetProperty("responseTopic")
	if !strings.HasPrefix(responseTopic, request.Topic+"/") {
		return nil // no request, or one that wants its answer where this application does not write
	}
	m := primitive.NewMessage(request.Topic, []byte("answer to "+string(request.Body)))
	m.WithProperty("mqttTopic", responseTopic)
	for _, name := range []string{"correlationData", "correlationDataBase64"} { // as text, or in base64 where it is none
		if value := request.GetProperty(name); value != "" {
			m.WithProperty(name, value)
		}
	}
	_, err := p.SendSync(ctx, m)
	return err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
