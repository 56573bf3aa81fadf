import java.io.Closeable;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.settings.Settings;

/** What a local node of any version has in common. */
final class Local {
    private Local() {}

    /** The settings of {@code Launch HOME HTTP-PORT TRANSPORT-PORT}. */
    static Settings.Builder settings(Path home, String[] args) {
        System.setProperty("es.path.home", home.toString());
        System.setProperty("es.path.conf", home.resolve("config").toString());
        return Settings.builder()
            .put("path.home", home)
            .put("cluster.name", "granary-local")
            .put("node.name", "local")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[1])
            .put("transport.port", args[2])
            // A laptop's disk is often fuller than a server's may be.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
    }

    /** Closes the node when the process is terminated. None of the node's own threads keeps the process alive. */
    static void untilTerminated(Closeable node) throws InterruptedException {
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
            closed.countDown();
        }));
        closed.await();
    }
}
