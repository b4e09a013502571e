import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Does with RocketMQ's own client what a Java proxy does with it: it is a member of the group of the proxies, and reads light queues.
 * Arguments: name server, first topic, light queues. It says "ready", then for each message read: light queue, originMqttTopic, body, with tabs between.
 */
public class LMQReader {
    public static void main(String[] args) throws Exception {
        DefaultMQPushConsumer events = new DefaultMQPushConsumer("CID_RMQ_SYS_mqtt_event");
        events.setNamesrvAddr(args[0]);
        events.subscribe(args[1], "*");
        events.registerMessageListener((MessageListenerConcurrently) (list, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        events.start();
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer("CID_RMQ_SYS_LMQ_PULL");
        reader.setNamesrvAddr(args[0]);
        reader.start();
        // Light queues have no route: the brokers are known by that of the first topic.
        reader.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().updateTopicRouteInfoFromNameServer(args[1]);
        TreeSet<String> brokers = new TreeSet<>();
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(args[1])) {
            brokers.add(queue.getBrokerName());
        }
        System.out.println("ready");
        Map<MessageQueue, Long> offsets = new HashMap<>();
        while (true) {
            boolean found = false;
            for (int i = 2; i < args.length; i++) {
                for (String broker : brokers) {
                    found |= read(reader, new MessageQueue(args[i], broker, 0), offsets);
                }
            }
            if (!found) {
                Thread.sleep(20);
            }
        }
    }

    private static boolean read(DefaultMQPullConsumer reader, MessageQueue lmq, Map<MessageQueue, Long> offsets) throws Exception {
        PullResult result = reader.pull(lmq, "*", offsets.getOrDefault(lmq, 0L), 32);
        if (result.getPullStatus() != PullStatus.FOUND) {
            return false;
        }
        StringBuilder out = new StringBuilder();
        for (MessageExt m : result.getMsgFoundList()) {
            out.append(lmq.getTopic()).append('\t').append(m.getUserProperty("originMqttTopic")).append('\t').append(new String(m.getBody(), "UTF-8")).append('\n');
        }
        System.out.print(out);
        System.out.flush();
        offsets.put(lmq, result.getNextBeginOffset());
        return true;
    }
}
