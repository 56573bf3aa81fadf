# A real Elasticsearch node, single and unsecured, on the loopback interface: Elastic's own jars from Maven Central,
# started by the launcher in local/elasticsearch/. A test dependency: nothing of it is shipped.

elasticsearch_up() {
    local spec="http://127.0.0.1:$ES_PORT $ES_VERSION $ES_JIT"
    local home=$LOCAL/elasticsearch/$ES_VERSION
    need_elasticsearch "$home"
    runs_as elasticsearch "$spec" && return 0
    need_port "$ES_PORT" ES_PORT Elasticsearch
    need_port "$ES_TRANSPORT_PORT" ES_TRANSPORT_PORT "Elasticsearch's transport"
    mkdir -p "$home/data" "$home/config" "$home/plugins" "$home/modules" "$home/logs" "$home/lib/platform/linux-x64" "$home/tmp"
    local flags=()
    [ "${ES_VERSION%%.*}" -lt 9 ] || flags=(--enable-native-access=ALL-UNNAMED --add-modules=jdk.incubator.vector)
    # The second compiler takes half of a young node's time, and pays only later.
    [ "$ES_JIT" = full ] || flags+=(-XX:TieredStopAtLevel=1)
    start_service elasticsearch "$spec" env -C "$home" "$JDK_HOME/bin/java" "${flags[@]}" \
        -Xms512m "-Xmx$ES_HEAP" -XX:+UseSerialGC \
        "-Djava.io.tmpdir=$home/tmp" -Des.distribution.type=tar "-Des.nativelibs.path=$home/lib/platform/linux-x64" \
        -Dorg.apache.logging.log4j.level=INFO -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false \
        -Dio.netty.noUnsafe=true -Dio.netty.allocator.numDirectArenas=0 \
        -cp "$home/launcher:$home/lib/*" Launch "$home" "$ES_PORT" "$ES_TRANSPORT_PORT"
}

# HTTP answers before the indices are there: cluster health is what counts.
elasticsearch_ready() { wait_ready elasticsearch 120 elasticsearch_is_ready; }

elasticsearch_is_ready() {
    curl -sf -m 5 "http://127.0.0.1:$ES_PORT/_cluster/health?wait_for_status=yellow&timeout=3s"
}

# Fetches the jars and compiles the launcher, once per version and change of local/elasticsearch/.
need_elasticsearch() {
    local home=$1 major=${ES_VERSION%%.*} wanted
    [ -d "$HERE/elasticsearch/$major" ] ||
        die "no launcher for Elasticsearch $ES_VERSION" "ES_VERSION is 8.19.21 (the default), 7.17.28 or 9.5.3"
    wanted=$(cat "$HERE/elasticsearch/"*.* "$HERE/elasticsearch/modular/"* "$HERE/elasticsearch/$major/"* | sha256sum | cut -d' ' -f1)
    [ "$(cat "$home/.installed" 2>/dev/null)" = "$wanted" ] && return 0
    need_command mvn maven
    say "fetching Elasticsearch $ES_VERSION"
    rm -rf "${home:?}/lib" "$home/modules" "$home/launcher" "$home/fetched"
    mkdir -p "$home/launcher" "$LOCAL/log"
    "install_elasticsearch_$major" "$home"
    echo "$wanted" >"$home/.installed"
}

install_elasticsearch_7() {
    fetch_jars "$1/lib" es-7
    compile "$1" "$1/launcher" "$HERE/elasticsearch/Local.java" "$HERE/elasticsearch/7/Launch.java"
}

install_elasticsearch_8() { install_modular "$1" 8; }

install_elasticsearch_9() { install_modular "$1" 9; }

# install_modular HOME MAJOR. The server's own jars are the class path; what the transport needs beyond them is a module, as
# in a distribution.
install_modular() {
    local home=$1 major=$2 module=$1/modules/transport-netty4 jar
    fetch_jars "$home/lib" es-server
    fetch_jars "$home/fetched" es-transport
    mkdir -p "$module"
    for jar in "$home/fetched/"*.jar; do
        [ -e "$home/lib/$(basename "$jar")" ] || mv "$jar" "$module/"
    done
    rm -rf "$home/fetched"
    describe_module "$module" transport-netty4 org.elasticsearch.transport.netty4.Netty4Plugin

    module=$home/modules/rest-root
    mkdir -p "$module/classes"
    compile "$home" "$module/classes" "$HERE/elasticsearch/modular/Root.java" "$HERE/elasticsearch/$major/RestRoot.java"
    "$JDK_HOME/bin/jar" --create --file "$module/rest-root.jar" -C "$module/classes" .
    rm -rf "$module/classes"
    describe_module "$module" rest-root RestRoot

    compile "$home" "$home/launcher" "$HERE/elasticsearch/Local.java" "$HERE/elasticsearch/$major/Launch.java"
}

# fetch_jars DIRECTORY PROFILE
fetch_jars() {
    JAVA_HOME=$JDK_HOME mvn -B -ntp -q -f "$HERE/elasticsearch/pom.xml" -P "$2" "-Delasticsearch.version=$ES_VERSION" \
        dependency:copy-dependencies "-DoutputDirectory=$1" >>"$LOCAL/log/install.log" 2>&1 ||
        die "Maven could not fetch Elasticsearch $ES_VERSION, see $LOCAL/log/install.log" "is that version on Maven Central?"
}

# compile HOME TARGET SOURCE…: for the oldest JDK that the version runs on, whichever compiles it.
compile() {
    "$JDK_HOME/bin/javac" --release "$(least_jdk)" -nowarn -proc:none -cp "$1/lib/*" -d "$2" "${@:3}" >>"$LOCAL/log/install.log" 2>&1 ||
        die "could not compile ${*:3} for Elasticsearch $ES_VERSION, see $LOCAL/log/install.log"
}

# describe_module DIRECTORY NAME CLASS
describe_module() {
    cat >"$1/plugin-descriptor.properties" <<DESCRIPTOR
name=$2
description=$2
version=$ES_VERSION
elasticsearch.version=$ES_VERSION
java.version=17
classname=$3
extended.plugins=
has.native.controller=false
DESCRIPTOR
}
