import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Prints what devices publish: consumes a RocketMQ topic, and of that what came through MQTT.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=Receive -Dexec.args="127.0.0.1:9876 fleet"</pre>
 */
public class Receive {
    static final int TIMEOUT = 30_000; // ms, of a request; the default of 3,000 is short for a JVM that starts on a busy machine

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String topic = args[1]; // the first level of the MQTT topics
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("receive-" + topic);
        consumer.setNamesrvAddr(namesrv);
        consumer.setMqClientApiTimeout(TIMEOUT);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET); // a new group begins with what is there
        consumer.subscribe(topic, "MQTT_COMMON"); // the tag of all that comes from devices
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(Receive::receive);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start(); // its threads keep the process
        Runtime.getRuntime().addShutdownHook(new Thread(consumer::shutdown));
    }

    /** Is called by several threads. A message may come twice: its id is getMsgId(), the property UNIQ_KEY. */
    static void receive(MessageExt m) {
        // RocketMQ takes no empty body: what is there then stands for one.
        String payload = "true".equals(m.getProperty("IS_EMPTY_MSG")) ? "" : new String(m.getBody(), StandardCharsets.UTF_8);
        System.out.printf("%s QoS %s: %s%n", m.getProperty("originMqttTopic"), m.getProperty("qosLevel"), payload);
    }
}
