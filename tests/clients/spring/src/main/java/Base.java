import java.net.URI;
import org.springframework.amqp.rabbit.annotation.EnableRabbit;
import org.springframework.amqp.rabbit.config.DirectRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory.ConfirmType;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;

/** What every Spring application has: connections, an admin, a template, both kinds of containers. */
@Configuration
@EnableRabbit
class Base {
    static CachingConnectionFactory connect(ConfirmType confirms) {
        var factory = new CachingConnectionFactory(URI.create(System.getenv("AMQP_URL")));
        factory.setRequestedHeartBeat(10);
        factory.setPublisherConfirmType(confirms);
        factory.setPublisherReturns(true);
        return factory;
    }

    @Bean
    @Primary
    CachingConnectionFactory connections() {
        return connect(ConfirmType.CORRELATED);
    }

    @Bean
    RabbitAdmin admin(ConnectionFactory connections) {
        return new RabbitAdmin(connections);
    }

    @Bean
    @Primary
    RabbitTemplate template(ConnectionFactory connections) {
        var template = new RabbitTemplate(connections);
        template.setMandatory(true);
        template.setReplyTimeout(Check.PATIENCE.toMillis());
        template.setReceiveTimeout(Check.PATIENCE.toMillis());
        return template;
    }

    /** The name under which listeners look for it. */
    @Bean
    SimpleRabbitListenerContainerFactory rabbitListenerContainerFactory(ConnectionFactory connections) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setRecoveryInterval(200L);
        return factory;
    }

    @Bean
    DirectRabbitListenerContainerFactory direct(ConnectionFactory connections) {
        var factory = new DirectRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setConsumersPerQueue(2);
        factory.setRecoveryInterval(200L);
        return factory;
    }
}
