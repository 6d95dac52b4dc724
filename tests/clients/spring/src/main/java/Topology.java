import static org.springframework.amqp.core.BindingBuilder.bind;

import java.util.Map;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.core.AnonymousQueue;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.ExchangeBuilder;
import org.springframework.amqp.core.FanoutExchange;
import org.springframework.amqp.core.HeadersExchange;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.QueueBuilder.LeaderLocator;
import org.springframework.amqp.core.QueueBuilder.Overflow;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** RabbitAdmin declares what the context holds, with every argument its builders know. */
@Configuration
class Topology {
    @Bean
    Declarables declarables() {
        var unrouted = new FanoutExchange(Check.name("unrouted"));
        TopicExchange events =
                ExchangeBuilder.topicExchange(Check.name("events")).alternate(unrouted.getName()).durable(true).build();
        HeadersExchange invoices = new HeadersExchange(Check.name("invoices"));
        FanoutExchange inner = ExchangeBuilder.fanoutExchange(Check.name("inner")).internal().build();
        Queue orders = QueueBuilder.durable(Check.name("orders"))
                .ttl(60_000)
                .expires(600_000)
                .maxLength(1000)
                .maxLengthBytes(1_000_000)
                .overflow(Overflow.rejectPublish)
                .deadLetterExchange("")
                .deadLetterRoutingKey(Check.name("dead"))
                .maxPriority(10)
                .lazy()
                .leaderLocator(LeaderLocator.clientLocal)
                .build();
        Queue audits = QueueBuilder.durable(Check.name("audits")).singleActiveConsumer().build();
        Queue pdfs = QueueBuilder.durable(Check.name("pdfs")).quorum().deliveryLimit(3).build();
        Queue mine = new AnonymousQueue(() -> Check.name("mine"));
        return new Declarables(
                unrouted, events, invoices, inner, orders, audits, pdfs, mine,
                QueueBuilder.nonDurable(Check.name("dead")).autoDelete().build(),
                bind(orders).to(events).with("order.#"),
                bind(audits).to(unrouted),
                bind(pdfs).to(invoices).whereAll(Map.of("type", "pdf", "pages", 3)).match(),
                bind(inner).to(events).with("*.created"),
                bind(mine).to(inner));
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var template = context.getBean(RabbitTemplate.class);
        template.execute(channel -> null);
        for (String queue : new String[] {"orders", "audits", "pdfs", "mine", "dead"}) {
            Check.check(admin.getQueueInfo(Check.name(queue)) != null, queue);
        }
        Check.equal(admin.getQueueInfo(Check.name("none")), null);
        Check.ok("RabbitAdmin declares exchanges, queues and bindings with all their arguments");

        template.convertAndSend(Check.name("events"), "order.created", "an order");
        Check.equal(template.receiveAndConvert(Check.name("orders")), "an order");
        Check.equal(template.receiveAndConvert(Check.name("mine")), "an order");
        template.convertAndSend(Check.name("events"), "customer.deleted", "nobody's");
        Check.equal(template.receiveAndConvert(Check.name("audits")), "nobody's");
        Check.ok("topic to queue, through an internal exchange, and to the alternate what nobody wants");

        for (int pages : new int[] {2, 3}) {
            template.convertAndSend(Check.name("invoices"), "", "pages " + pages, message -> {
                message.getMessageProperties().setHeader("type", "pdf");
                message.getMessageProperties().setHeader("pages", pages);
                return message;
            });
        }
        Check.equal(template.receiveAndConvert(Check.name("pdfs")), "pages 3");
        Check.ok("a headers exchange to a quorum queue");

        admin.initialize();
        try {
            admin.declareQueue(new Queue(Check.name("audits")));
            throw new AssertionError("a queue was declared with other arguments");
        } catch (AmqpException refused) {
            String text = String.valueOf(refused.getCause().getCause().getMessage());
            Check.check(text.contains("inequivalent arg 'x-single-active-consumer'"), text);
        }
        Check.ok("declaring anew is nothing, with other arguments it is refused");

        for (int count = 0; count < 3; count++) {
            template.convertAndSend(Check.name("pdfs"), "to be purged");
        }
        Check.until(() -> admin.getQueueInfo(Check.name("pdfs")).getMessageCount() == 3, "three messages");
        Check.equal(admin.purgeQueue(Check.name("pdfs")), 3);
        for (String queue : new String[] {"orders", "audits", "pdfs"}) {
            Check.check(admin.deleteQueue(Check.name(queue)), queue);
        }
        for (String exchange : new String[] {"events", "inner", "invoices", "unrouted"}) {
            Check.check(admin.deleteExchange(Check.name(exchange)), exchange);
        }
        Check.ok("counted, purged and deleted");
    }
}
