import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Looks for a message that a device has published as a consumer that pulls, as one that pops, and by its UNIQ_KEY. */
public class Consumers {
    static final int TIMEOUT = 30_000; // ms

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String broker = args[1];
        String topic = args[2];
        String body = args[3];
        DefaultMQAdminExt admin = new DefaultMQAdminExt(TIMEOUT);
        admin.setNamesrvAddr(namesrv);
        admin.start();
        MessageExt pulled = pull(namesrv, topic, body);
        admin.setMessageRequestMode(broker, topic, "pop-" + topic, MessageRequestMode.POP, 8, TIMEOUT);
        MessageExt popped = pop(namesrv, topic, body);
        MessageExt found = admin.viewMessage(topic, pulled.getProperty("UNIQ_KEY"));
        System.out.println("pulled " + pulled.getProperty("originMqttTopic"));
        System.out.println("popped " + popped.getProperty("originMqttTopic") + " " + (popped.getProperty("POP_CK") != null));
        System.out.println("found " + text(found));
        System.exit(0); // consumers that take seconds to stop
    }

    static MessageExt pull(String namesrv, String topic, String body) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer("pull-" + topic);
        consumer.setNamesrvAddr(namesrv);
        consumer.setMqClientApiTimeout(TIMEOUT);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "MQTT_COMMON");
        consumer.start();
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(TIMEOUT);
        while (System.nanoTime() < end) {
            for (MessageExt m : consumer.poll(1000)) {
                if (text(m).equals(body)) {
                    return m;
                }
            }
        }
        throw new IllegalStateException("nothing was pulled");
    }

    static MessageExt pop(String namesrv, String topic, String body) throws Exception {
        CompletableFuture<MessageExt> popped = new CompletableFuture<>();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("pop-" + topic);
        consumer.setNamesrvAddr(namesrv);
        consumer.setMqClientApiTimeout(TIMEOUT);
        consumer.setClientRebalance(false); // the broker says how
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "MQTT_COMMON");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.stream().filter(m -> text(m).equals(body)).forEach(popped::complete);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return popped.get(TIMEOUT, TimeUnit.MILLISECONDS);
    }

    static String text(MessageExt m) {
        return new String(m.getBody(), StandardCharsets.UTF_8);
    }
}
