import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends a message to devices: those that have subscribed to its MQTT topic get it.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=Send -Dexec.args="127.0.0.1:9876 fleet/7/set on"</pre>
 */
public class Send {
    static final int TIMEOUT = 30_000; // ms, of a request; the default of 3,000 is short for a JVM that starts on a busy machine

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String mqttTopic = args[1];
        String payload = args[2];
        DefaultMQProducer producer = new DefaultMQProducer("send");
        producer.setNamesrvAddr(namesrv);
        producer.setMqClientApiTimeout(TIMEOUT);
        producer.setSendMsgTimeout(TIMEOUT);
        producer.start();
        try {
            String topic = mqttTopic.split("/", 2)[0]; // the RocketMQ topic must be the first level
            Message m = new Message(topic, payload.getBytes(StandardCharsets.UTF_8));
            m.putUserProperty("mqttTopic", mqttTopic);
            m.putUserProperty("contentType", "text/plain"); // these two are properties of MQTT 5
            m.putUserProperty("messageExpiryInterval", "3600"); // seconds
            m.putUserProperty("sender", "application"); // and any other name is a user property there
            System.out.println("sent " + producer.send(m).getMsgId());
        } finally {
            producer.shutdown();
        }
    }
}
