import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Answers what devices ask: an MQTT 5 request has a response topic and correlation data, which the answer needs to have too.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=Answer -Dexec.args="127.0.0.1:9876 fleet"</pre>
 */
public class Answer {
    static final int TIMEOUT = 30_000; // ms, of a request; the default of 3,000 is short for a JVM that starts on a busy machine

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String topic = args[1];
        DefaultMQProducer producer = new DefaultMQProducer("answer-" + topic);
        producer.setNamesrvAddr(namesrv);
        producer.setMqClientApiTimeout(TIMEOUT);
        producer.setSendMsgTimeout(TIMEOUT);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("answer-" + topic);
        consumer.setNamesrvAddr(namesrv);
        consumer.setMqClientApiTimeout(TIMEOUT);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "MQTT_COMMON"); // what comes from devices, not the answers
        consumer.registerMessageListener((MessageListenerConcurrently) (requests, context) -> {
            try {
                for (MessageExt request : requests) {
                    answer(producer, request);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception e) {
                e.printStackTrace();
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start(); // its threads keep the process
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.shutdown();
            producer.shutdown();
        }));
    }

    static void answer(DefaultMQProducer producer, MessageExt request) throws Exception {
        String responseTopic = request.getProperty("responseTopic");
        if (responseTopic == null || !responseTopic.startsWith(request.getTopic() + "/")) {
            return; // no request, or one that wants its answer where this application does not write
        }
        String answer = "answer to " + new String(request.getBody(), StandardCharsets.UTF_8);
        Message m = new Message(request.getTopic(), answer.getBytes(StandardCharsets.UTF_8));
        m.putUserProperty("mqttTopic", responseTopic);
        for (String name : new String[] {"correlationData", "correlationDataBase64"}) { // as text, or in base64 where it is none
            if (request.getProperty(name) != null) {
                m.putUserProperty(name, request.getProperty(name));
            }
        }
        producer.send(m);
    }
}
