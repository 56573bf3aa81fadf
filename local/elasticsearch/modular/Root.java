import java.util.List;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/** Answers {@code GET /} with the node's name and version. */
final class Root extends BaseRestHandler {
    private final String node;
    private final String cluster;

    Root(String node, String cluster) {
        this.node = node;
        this.cluster = cluster;
    }

    @Override
    public String getName() {
        return "rest_root";
    }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        Build build = Build.current();
        return channel -> {
            XContentBuilder body = channel.newBuilder().prettyPrint().startObject()
                .field("name", node)
                .field("cluster_name", cluster)
                .startObject("version")
                .field("number", build.version())
                .field("build_flavor", build.flavor())
                .field("build_hash", build.hash())
                .field("build_date", build.date())
                .endObject()
                .field("tagline", "You Know, for Search")
                .endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, body));
        };
    }
}
