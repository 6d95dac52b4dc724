import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Apache Kafka's command line tools, one after the other in one virtual machine.
 *
 * A line is a main class, the standard input and the arguments, each in Base64; it is answered by the
 * exit code and both outputs.
 */
public class Tools {
    static class Exited extends RuntimeException {}

    /** The first that a tool asked for: some catch everything, this too, and then leave with 1. */
    static Integer asked;

    /** What a tool wants done at the end of its virtual machine. */
    static final List<Runnable> hooks = new ArrayList<>();

    static void exit(int code) {
        if (asked == null) {
            asked = code;
        }
        throw new Exited();
    }

    public static void main(String[] unused) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        PrintStream answers = System.out;
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = Arrays.stream(line.split(" "))
                    .map(word -> new String(Base64.getDecoder().decode(word.substring(1)))).toArray(String[]::new);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setIn(new ByteArrayInputStream(words[1].getBytes()));
            System.setOut(new PrintStream(out, true));
            System.setErr(new PrintStream(err, true));
            int code = run(words[0], Arrays.copyOfRange(words, 2, words.length));
            hooks.forEach(Runnable::run);
            hooks.clear();
            System.out.flush();
            System.err.flush();
            answers.println(code + " ." + encode(out) + " ." + encode(err));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    static int run(String main, String[] arguments) {
        asked = null;
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return asked == null ? 0 : asked;
        } catch (InvocationTargetException thrown) {
            if (asked != null) {
                return asked;
            }
            thrown.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException missing) {
            missing.printStackTrace();
            return 127;
        }
    }

    static String encode(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
