import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;

/**
 * SSL by a certificate, and SASL_SSL by every mechanism with a password. The broker's authority, the certificate and
 * the password of a user, and another authority are in the environment.
 */
class UnderTls {
    static void run() throws Exception {
        for (String version : List.of("TLSv1.2", "TLSv1.3")) {
            roundTrip(certified("ssl.enabled.protocols", version));
            Client.ok("a certificate under " + version);
        }
        String password = System.getenv("TLS_PASSWORD");
        for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")) {
            roundTrip(login(mechanism, password));
            Client.ok(mechanism + " under TLS");
            refused(login(mechanism, "not " + password), SaslAuthenticationException.class);
        }
        Client.ok("wrong passwords are refused");
        refused(options("TLS_STRANGER", "SSL"), SslAuthenticationException.class);
        Client.ok("a broker of another authority is not talked to");
    }

    private static Object[] options(String authority, String protocol, Object... more) {
        Object[] common = {"security.protocol", protocol, "ssl.truststore.type", "PEM",
            "ssl.truststore.location", System.getenv(authority), "default.api.timeout.ms", 20_000,
            "request.timeout.ms", 10_000};
        return joined(common, more);
    }

    private static Object[] certified(Object... more) throws Exception {
        Object[] key = {"ssl.keystore.type", "PEM",
            "ssl.keystore.certificate.chain", Files.readString(Path.of(System.getenv("TLS_CERTIFICATE"))),
            "ssl.keystore.key", Files.readString(Path.of(System.getenv("TLS_KEY")))};
        return options("TLS_AUTHORITY", "SSL", joined(key, more));
    }

    private static Object[] login(String mechanism, String password) {
        String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        String jaas = "org.apache.kafka.common.security." + module + " required username=\""
                + System.getenv("TLS_USER") + "\" password=\"" + password + "\";";
        return options("TLS_AUTHORITY", "SASL_SSL", "sasl.mechanism", mechanism, "sasl.jaas.config", jaas);
    }

    private static Object[] joined(Object[] one, Object[] other) {
        Object[] both = new Object[one.length + other.length];
        System.arraycopy(one, 0, both, 0, one.length);
        System.arraycopy(other, 0, both, one.length, other.length);
        return both;
    }

    private static void roundTrip(Object[] options) throws Exception {
        String topic = Client.unique("java-tls");
        try (KafkaProducer<String, String> producer = Client.producer(options)) {
            Client.send(producer, topic, "one", "two", "x".repeat(500_000));
        }
        Object[] group = {"group.id", Client.unique("g")};
        try (KafkaConsumer<String, String> consumer = Client.consumer(joined(options, group))) {
            consumer.subscribe(List.of(topic));
            Client.equal(Client.values(Client.take(consumer, 3)), List.of("one", "two", "x".repeat(500_000)), topic);
            consumer.commitSync();
        }
    }

    private static void refused(Object[] options, Class<? extends Throwable> wanted) throws Exception {
        Map<String, Object> settings = Client.options(options);
        try (Admin admin = Admin.create(settings)) {
            Client.fails(wanted, () -> admin.describeCluster().nodes().get(), "refused");
        }
    }
}
