import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What a Java user does with the RabbitMQ client, one scenario a run; {@link Hello} is the first. */
public class Client {
  private static final long PATIENCE_MS = 20_000;

  public static void main(String[] arguments) {
    try {
      switch (arguments[0]) {
        case "hello" -> Hello.main(arguments);
        case "work_queue" -> workQueue();
        case "reconnect" -> reconnect();
        case "tls" -> UnderTls.run();
        default -> throw new IllegalArgumentException("no scenario " + arguments[0]);
      }
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1);
    }
  }

  /** A consumer on a channel of its own; what it got waits in an inbox. */
  private static class Worker {
    final Channel channel;
    final BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
    final String tag;

    Worker(Connection connection, String queue, int prefetch) throws Exception {
      channel = connection.createChannel();
      channel.basicQos(prefetch);
      tag = channel.basicConsume(queue, false, (consumerTag, delivery) -> inbox.add(delivery), consumerTag -> { });
    }

    Delivery next(String what) throws Exception {
      Delivery delivery = inbox.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
      check(delivery != null, "waited " + PATIENCE_MS + " ms for " + what);
      return delivery;
    }

    Delivery one(String what) throws Exception {
      Delivery delivery = next(what);
      check(inbox.isEmpty(), "prefetch is 1, but " + tag + " holds two");
      check(delivery.getProperties().getDeliveryMode() == 2, body(delivery) + " is not persistent");
      return delivery;
    }

    void ack(Delivery delivery) throws Exception {
      channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
    }
  }

  private static void workQueue() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      channel.confirmSelect();
      List<String> returned = new ArrayList<>();
      channel.addReturnListener(message -> returned.add(message.getReplyText()));
      String queue = "work-" + UUID.randomUUID();
      channel.queueDeclare(queue, true, false, false, null);
      List<Worker> workers = List.of(new Worker(connection, queue, 1), new Worker(connection, queue, 1));
      publish(channel, queue, "task-", 0, 20);
      check(returned.isEmpty(), "returned: " + returned);

      for (int first = 0; first < 20; first += 2) {
        List<Delivery> held = new ArrayList<>();
        for (Worker worker : workers) held.add(worker.one("round " + first));
        List<String> tasks = held.stream().map(Client::body).toList();
        check(Set.copyOf(tasks).equals(Set.of("task-" + first, "task-" + (first + 1))), "round has " + tasks);
        check(first > 0 || tasks.equals(List.of("task-0", "task-1")), "not in turn: " + tasks);
        check(held.stream().noneMatch(message -> message.getEnvelope().isRedeliver()), "redelivered: " + tasks);
        // What is requeued comes back at once, to the only one with room for it.
        int index = tasks.indexOf("task-9");
        if (index >= 0) {
          Worker worker = workers.get(index);
          worker.channel.basicNack(held.get(index).getEnvelope().getDeliveryTag(), false, true);
          Delivery again = worker.one("task-9 again");
          check(body(again).equals("task-9") && again.getEnvelope().isRedeliver(), "after the requeue: " + again);
          held.set(index, again);
        }
        for (int each = 0; each < held.size(); each++) {
          Delivery message = held.get(each);
          Worker worker = workers.get(each);
          if (body(message).equals("task-6")) {
            worker.channel.basicReject(message.getEnvelope().getDeliveryTag(), false);
          } else {
            worker.ack(message);
          }
        }
      }
      for (Worker worker : workers) {
        worker.channel.basicCancel(worker.tag);
        check(worker.inbox.isEmpty(), worker.tag + " got more");
      }
      AMQP.Queue.DeclareOk found = channel.queueDeclarePassive(queue);
      check(found.getMessageCount() == 0 && found.getConsumerCount() == 0, "queue is left as " + found);
      check(channel.basicGet(queue, false) == null, "a message is left");
      for (Worker worker : workers) worker.channel.close();
      check(channel.queueDelete(queue).getMessageCount() == 0, "messages came back");
    }
  }

  /** The client recovers by itself: connection, channels and consumer of before the kill go on. */
  private static void reconnect() throws Exception {
    ConnectionFactory factory = factory();
    factory.setAutomaticRecoveryEnabled(true);
    factory.setNetworkRecoveryInterval(250);
    try (Connection connection = factory.newConnection()) {
      Channel publisher = connection.createChannel();
      publisher.confirmSelect();
      String queue = "reconnect-" + UUID.randomUUID();
      publisher.queueDeclare(queue, true, false, false, null);
      publish(publisher, queue, "", 0, 200);
      Worker worker = new Worker(connection, queue, 50);
      for (int number = 0; number < 50; number++) {
        Delivery message = worker.next("50 messages");
        check(body(message).equals(Integer.toString(number)), "message " + number + " is " + body(message));
        if (number == 19) worker.channel.basicAck(message.getEnvelope().getDeliveryTag(), true);
      }
      // Twenty more came in place of those acked; they stay unsettled.
      for (int number = 50; number < 70; number++) worker.next("20 messages more");
      worker.channel.queueDeclarePassive(queue); // Answered after the ack before it.
      publish(publisher, queue, "", 200, 210);

      CountDownLatch closed = new CountDownLatch(1);
      CountDownLatch recovered = new CountDownLatch(1);
      connection.addShutdownListener(cause -> closed.countDown());
      ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
        @Override
        public void handleRecoveryStarted(Recoverable recoverable) { }

        @Override
        public void handleRecovery(Recoverable recoverable) {
          recovered.countDown();
        }
      });
      System.out.println("KILL ME");
      check(closed.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "the broker was not killed");
      check(recovered.await(60, TimeUnit.SECONDS), "the client did not recover");

      for (int number = 20; number < 210; number++) {
        Delivery message = worker.next("message " + number + " after the restart");
        check(body(message).equals(Integer.toString(number)), "expected " + number + ", got " + body(message));
        worker.ack(message);
      }
      worker.channel.basicCancel(worker.tag);
      check(worker.inbox.isEmpty(), "more came: " + worker.inbox);
      AMQP.Queue.DeclareOk found = worker.channel.queueDeclarePassive(queue);
      check(found.getMessageCount() == 0 && found.getConsumerCount() == 0, "queue is left as " + found);
      publish(publisher, queue, "", 210, 211);
      check(publisher.queueDelete(queue).getMessageCount() == 1, "the publisher's channel did not recover");
    }
  }

  private static void publish(Channel channel, String queue, String prefix, int start, int end) throws Exception {
    for (int number = start; number < end; number++) {
      byte[] body = (prefix + number).getBytes(StandardCharsets.UTF_8);
      channel.basicPublish("", queue, true, MessageProperties.PERSISTENT_TEXT_PLAIN, body);
    }
    channel.waitForConfirmsOrDie(PATIENCE_MS);
  }

  static ConnectionFactory factory() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("AMQP_URL"));
    return factory;
  }

  private static String body(Delivery delivery) {
    return new String(delivery.getBody(), StandardCharsets.UTF_8);
  }

  static void check(boolean holds, String otherwise) {
    if (!holds) throw new AssertionError(otherwise);
  }
}
