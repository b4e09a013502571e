import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.UpdateConsumerOffsetRequestHeader;

/**
 * Does with RocketMQ's own client what a Java proxy does with it, without MQTT: it is a member of the group of the proxies, publishes with their properties, reads
 * light queues, and keeps the offsets of clients. Arguments: name server, first topics. It says "ready"; then it takes commands, one a line, with tabs between the parts, and answers "done".
 *
 * read LMQ                       reads a light queue from its start; each message is said: LMQ, originMqttTopic, body
 * publish TOPIC QOS BODY         as a client of the proxy
 * subscribe CLIENT FILTER        as a client with clean=0, /p2p/CLIENT/ and /retry/CLIENT/ too; each message is said: CLIENT, FILTER, topic, body, and acknowledged at once
 * park CLIENT TOPIC BODY         puts a message of a client's, which it has not acknowledged, into its retry queue
 * disconnect CLIENT              commits its offsets
 */
public class JavaNode {
    private static DefaultMQPullConsumer reader;
    private static DefaultMQProducer producer;
    private static MQClientInstance instance;
    private static final Map<String, String> brokers = new TreeMap<>(); // name, address
    private static final List<Reading> readings = new ArrayList<>();
    private static final LinkedBlockingQueue<String> commands = new LinkedBlockingQueue<>();

    /** One light queue on one broker. */
    private static class Reading {
        String client; // null: of nobody
        String filter;
        MessageQueue lmq;
        long offset;
    }

    public static void main(String[] args) throws Exception {
        DefaultMQPushConsumer events = new DefaultMQPushConsumer("CID_RMQ_SYS_mqtt_event");
        events.setNamesrvAddr(args[0]);
        for (int i = 1; i < args.length; i++) {
            events.subscribe(args[i], "*");
        }
        events.registerMessageListener((MessageListenerConcurrently) (list, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        events.start();
        producer = new DefaultMQProducer("GID_LMQ_SEND");
        producer.setNamesrvAddr(args[0]);
        producer.setVipChannelEnabled(false);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        reader = new DefaultMQPullConsumer("CID_RMQ_SYS_LMQ_PULL");
        reader.setNamesrvAddr(args[0]);
        reader.start();
        // Light queues have no route: the brokers are known by that of the first topic.
        instance = reader.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory();
        instance.updateTopicRouteInfoFromNameServer(args[1]);
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(args[1])) {
            brokers.put(queue.getBrokerName(), instance.findBrokerAddressInPublish(queue.getBrokerName()));
        }
        Thread input = new Thread(JavaNode::input);
        input.setDaemon(true);
        input.start();
        say("ready");
        while (true) {
            boolean found = false;
            for (Reading one : readings) {
                found |= pull(one);
            }
            String line = commands.poll(found ? 0 : 20, TimeUnit.MILLISECONDS);
            if (line != null) {
                command(line.split("\t"));
                say("done");
            }
        }
    }

    private static void input() {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        in.lines().forEach(commands::add);
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void command(String[] part) throws Exception {
        switch (part[0]) {
            case "read":
                for (String broker : brokers.keySet()) {
                    add(null, part[1], part[1], broker, 0);
                }
                return;
            case "publish":
                publish(part[1], part[2], part[3]);
                return;
            case "park":
                send("mqtt_client_retry", part[2], "1", part[3], lmq("/retry/" + part[1] + "/"));
                return;
            case "subscribe":
                subscribe(part[1], part[2]);
                return;
            case "disconnect":
                for (Reading one : readings) {
                    if (part[1].equals(one.client)) {
                        commit(one);
                    }
                }
                readings.removeIf(one -> part[1].equals(one.client));
                return;
            default:
                throw new IllegalArgumentException(part[0]);
        }
    }

    private static void add(String client, String filter, String lmq, String broker, long offset) {
        Reading one = new Reading();
        one.client = client;
        one.filter = filter;
        one.lmq = new MessageQueue(lmq, broker, 0);
        one.offset = offset;
        readings.add(one);
    }

    /** TopicUtils.normalizeTopic, and LmqQueueStoreManager. */
    private static String lmq(String queue) {
        if (queue.contains("/") && !queue.endsWith("/")) {
            queue += "/";
        }
        return "%LMQ%" + queue.replace("/", "%");
    }

    /** PublishProcessor. */
    private static void publish(String topic, String qos, String body) throws Exception {
        String first = topic.substring(0, topic.indexOf('/'));
        Set<String> lmqs = new LinkedHashSet<>();
        String[] level = topic.split("/");
        if (level.length > 2 && level[1].equals("p2p")) {
            lmqs.add(lmq("/p2p/" + level[2] + "/"));
        } else {
            lmqs.add(lmq(topic));
            for (String filter : instance.getMQClientAPIImpl().getKVConfigValue("LMQ", first, 3000).split(",")) {
                if (matches(filter.split("/"), level)) {
                    lmqs.add(lmq(filter));
                }
            }
        }
        send(first, topic, qos, body, String.join(",", lmqs));
    }

    /** LmqQueueStoreManager.putMessage. */
    private static void send(String first, String topic, String qos, String body, String lmqs) throws Exception {
        Message m = new Message(first, "MQTT_COMMON", body.getBytes("UTF-8"));
        MessageClientIDSetter.setUniqID(m);
        put(m, "INNER_MULTI_DISPATCH", lmqs);
        put(m, "originMqttTopic", topic);
        put(m, "qosLevel", qos);
        put(m, "IS_EMPTY_MSG", "false");
        put(m, "retryTimes", "0");
        put(m, "extData", "{\"qosLevel\":\"" + qos + "\"}");
        producer.send(m);
    }

    private static void put(Message m, String name, String value) {
        MessageAccessor.putProperty(m, name, value);
    }

    /** Trie.getNode: '#' matches the level above it too. */
    private static boolean matches(String[] filter, String[] topic) {
        for (int i = 0; i < filter.length; i++) {
            if (filter[i].equals("#")) {
                return topic.length >= i;
            }
            if (i >= topic.length || !filter[i].equals("+") && !filter[i].equals(topic[i])) {
                return false;
            }
        }
        return filter.length == topic.length;
    }

    /** SessionLoopImpl.addSubscription: what it has not read yet, from the offset that is stored. */
    private static void subscribe(String client, String filter) throws Exception {
        for (String queue : new String[] {filter, "/p2p/" + client + "/", "/retry/" + client + "/"}) {
            if (readings.stream().anyMatch(one -> client.equals(one.client) && one.filter.equals(queue))) {
                continue;
            }
            for (String broker : brokers.keySet()) {
                add(client, queue, lmq(queue), broker, stored(client, lmq(queue), broker));
            }
        }
    }

    /** LmqOffsetStoreManager.getOffset, and SessionLoopImpl.initOffset. */
    private static long stored(String client, String lmq, String broker) throws Exception {
        QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
        header.setTopic(lmq);
        header.setConsumerGroup("%LMQ%" + client);
        header.setQueueId(0);
        long offset = Long.MAX_VALUE;
        try {
            offset = api().queryConsumerOffset(brokers.get(broker), header, 3000);
        } catch (MQBrokerException e) {
            if (e.getResponseCode() != ResponseCode.QUERY_NOT_FOUND) {
                throw e;
            }
        }
        if (offset == Long.MAX_VALUE) {
            offset = api().getMaxOffset(brokers.get(broker), new MessageQueue(lmq, broker, 0), 3000);
        }
        return offset;
    }

    /** LmqOffsetStoreManager.save. */
    private static void commit(Reading one) throws Exception {
        UpdateConsumerOffsetRequestHeader header = new UpdateConsumerOffsetRequestHeader();
        header.setTopic(one.lmq.getTopic());
        header.setConsumerGroup("%LMQ%" + one.client);
        header.setQueueId(0);
        header.setCommitOffset(one.offset);
        api().updateConsumerOffset(brokers.get(one.lmq.getBrokerName()), header, 3000);
    }

    private static MQClientAPIImpl api() {
        return instance.getMQClientAPIImpl();
    }

    private static boolean pull(Reading one) throws Exception {
        PullResult result = reader.pull(one.lmq, "*", one.offset, 32);
        if (result.getPullStatus() != PullStatus.FOUND) {
            return false;
        }
        StringBuilder out = new StringBuilder();
        for (MessageExt m : result.getMsgFoundList()) {
            if (one.client == null) {
                out.append(one.lmq.getTopic());
            } else {
                out.append(one.client).append('\t').append(one.filter);
            }
            out.append('\t').append(m.getUserProperty("originMqttTopic")).append('\t').append(new String(m.getBody(), "UTF-8")).append('\n');
        }
        System.out.print(out);
        System.out.flush();
        one.offset = result.getNextBeginOffset();
        return true;
    }
}
