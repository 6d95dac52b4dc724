import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Deadlines, names of one's own, and a line for what held. */
final class Check {
    static final Duration PATIENCE = Duration.ofSeconds(30);

    static void ok(String behaviour) {
        System.out.println("ok " + behaviour);
        System.out.flush();
    }

    static String name(String of) {
        return System.getProperty("run") + "." + of;
    }

    /** Who answers; only for what Debian's RabbitMQ does not have. */
    static boolean judgedByRabbitMq() {
        return "rabbitmq".equals(System.getenv("BONGSU_JUDGE"));
    }

    static void equal(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError("found " + found + ", wanted " + wanted);
        }
    }

    static void check(boolean holds, Object found) {
        if (!holds) {
            throw new AssertionError("found " + found);
        }
    }

    /** The next thing in a queue, within the deadline. */
    static <T> T next(BlockingQueue<T> queue, String what) throws InterruptedException {
        T found = queue.poll(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        check(found != null, "nothing, waiting for " + what);
        return found;
    }

    static void until(Callable<Boolean> done, String what) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!done.call()) {
            check(System.nanoTime() < deadline, "nothing, waiting for " + what);
            Thread.sleep(20);
        }
    }

    private Check() {}
}
