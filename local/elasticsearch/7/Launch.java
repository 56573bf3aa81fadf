import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.reindex.ReindexPlugin;
import org.elasticsearch.transport.Netty4Plugin;

/** Starts a single Elasticsearch 7 node: {@code Launch HOME HTTP-PORT TRANSPORT-PORT}. Ends when it is terminated. */
public class Launch {
    /** The constructor that takes plugins from the class path is not public. */
    private static final class LocalNode extends Node {
        LocalNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
            super(environment, plugins, false);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Settings settings = Local.settings(home, args)
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .build();
        LogConfigurator.configureWithoutConfig(settings);

        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "local");
        Node node = new LocalNode(environment, List.of(Netty4Plugin.class, ReindexPlugin.class)).start();
        Local.untilTerminated(node);
    }
}
