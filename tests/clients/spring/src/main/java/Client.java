import java.util.Map;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * What users of Spring AMQP do, one scenario a run.
 *
 * <p>Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f java Client SCENARIO
 */
final class Client {
    interface Scenario {
        void run(AnnotationConfigApplicationContext context) throws Exception;
    }

    private record Row(Class<?> configuration, Scenario scenario) {}

    private static final Map<String, Row> SCENARIOS = Map.of(
            "topology", new Row(Topology.class, Topology::run),
            "containers", new Row(Containers.class, Containers::run),
            "retry", new Row(Retry.class, Retry::run),
            "rpc", new Row(Rpc.class, Rpc::run),
            "batch", new Row(Batch.class, Batch::run),
            "confirms", new Row(Confirms.class, Confirms::run),
            "streams", new Row(Streams.class, Streams::run),
            "delayed", new Row(Delayed.class, Delayed::run),
            "transactions", new Row(Transactions.class, Transactions::run),
            "restart", new Row(Restart.class, Restart::run));

    public static void main(String[] arguments) throws Exception {
        // Queues are named after the run, in annotations as ${run}.
        System.setProperty("run", "spring-" + Long.toHexString(System.nanoTime()));
        // Listeners throw here on purpose, and each time would be a page of warnings.
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
        Row row = SCENARIOS.get(arguments[0]);
        try (var context = new AnnotationConfigApplicationContext(Base.class, row.configuration())) {
            row.scenario().run(context);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private Client() {}
}
