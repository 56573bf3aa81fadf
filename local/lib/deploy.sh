# Building the functions and deploying them to the emulator, the way production is deployed: `sam deploy` of the same
# template. Only the compiling differs: plain cargo, so that functions and tests share one target directory.

BUILD=$LOCAL/build

build_functions() {
    local binaries function
    if [ -n "$BIN_DIR" ]; then
        binaries=$BIN_DIR
    else
        say "building the functions ($PROFILE)"
        local options=()
        [ "$PROFILE" = debug ] || options=(--profile "$PROFILE")
        # Progress is for people; in a log it would be a line per crate.
        [ -t 2 ] || options+=(--quiet)
        (cd "$CHECKOUT" && cargo build --workspace --bins "${options[@]}" 9>&-) || die "cargo could not build the functions"
        binaries=$(target_directory)/$PROFILE
    fi
    for function in "${FUNCTIONS[@]}"; do
        strip_function "$binaries/$function" "$BUILD/$function"
    done
    # The command line, where people and scripts find it whatever cargo's target directory is.
    mkdir -p "$LOCAL/bin"
    ln -sf "$(realpath "$binaries")/granary" "$LOCAL/bin/granary"
}

target_directory() {
    (cd "$CHECKOUT" && cargo metadata --format-version 1 --no-deps --offline) |
        "$VENV/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

# strip_function BINARY DIRECTORY: an unchanged binary is left as it is, so that nothing has to be deployed for it.
strip_function() {
    local binary=$1 directory=$2 stamp
    [ -f "$binary" ] || die "there is no binary $binary" "does the workspace build one of that name?"
    stamp="$binary $(stat -c '%Y.%s.%i' "$binary")"
    [ "$(cat "$directory.stamp" 2>/dev/null)" = "$stamp" ] && return 0
    mkdir -p "$directory"
    strip -o "$directory/bootstrap.new" "$binary" 2>/dev/null || cp "$binary" "$directory/bootstrap.new"
    chmod 755 "$directory/bootstrap.new"
    mv "$directory/bootstrap.new" "$directory/bootstrap"
    echo "$stamp" >"$directory.stamp"
}

deploy_functions() {
    "$VENV/bin/python" "$HERE/lib/built_template.py" "$CHECKOUT/template.yaml" "$BUILD/template.yaml" \
        "ExporterConcurrency=$EXPORTER_CONCURRENCY"
    local parameters wanted
    mapfile -t parameters < <(deployment_parameters)
    wanted=$({ cat "$BUILD/template.yaml" "$CHECKOUT/samconfig.toml" "$BUILD"/*/bootstrap; printf '%s\n' "${parameters[@]}"; } | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$LOCAL/aws/deployed" 2>/dev/null)" = "$wanted" ] && stack_outputs >/dev/null 2>&1; then
        say "the deployed stack is up to date"
        migrate_schema
        return 0
    fi
    say "deploying the stack $STACK_NAME"
    rm -f "$LOCAL/aws/deployed"
    (cd "$CHECKOUT" && on_aws "$VENV/bin/sam" deploy --config-env local --config-file "$CHECKOUT/samconfig.toml" \
        --template-file "$BUILD/template.yaml" --stack-name "$STACK_NAME" \
        --parameter-overrides "${parameters[@]}" >"$LOCAL/log/deploy.log" 2>&1 9>&-) || deployment_failed
    on_aws "$VENV/bin/python" "$HERE/lib/complete_deployment.py" "$BUILD/template.yaml" "$STACK_NAME" \
        >>"$LOCAL/log/deploy.log" 2>&1 || deployment_failed
    echo "$wanted" >"$LOCAL/aws/deployed"
    migrate_schema
}

# CloudFormation has the migrator invoked where the template asks for another schema than before. The ledger's server may be the other
# one since then, or its data new.
migrate_schema() {
    on_aws STACK_NAME="$STACK_NAME" "$VENV/bin/python" "$HERE/lib/invoke.py" migrator >>"$LOCAL/log/deploy.log" 2>&1 ||
        die "the migrator could not bring the ledger's schema up to date, see $LOCAL/log/deploy.log"
}

deployment_failed() {
    tail -n 25 "$LOCAL/log/deploy.log" | sed 's/^/       /' >&2
    die "sam deploy failed, see $LOCAL/log/deploy.log" "if the emulator's state is the reason: local/stack wipe"
}

# What this deployment sets; whatever it leaves out has the template's default.
deployment_parameters() {
    parameter Environment local
    parameter Architecture "$([ "$(uname -m)" = aarch64 ] && echo arm64 || echo x86_64)"
    parameter SourceName "$SOURCE_NAME"
    parameter SourceIndex "$SOURCE_INDEX"
    parameter SourceIdField "$SOURCE_ID_FIELD"
    parameter SourceTimeField "$SOURCE_TIME_FIELD"
    parameter MetadataSources "$METADATA_SOURCES"
    parameter EsUrl "http://127.0.0.1:$ES_PORT"
    parameter LedgerUrl "$(ledger_url)"
    parameter Prefix "$PREFIX"
    parameter Tokens "$(tokens_document)"
    parameter AllowSeeding true
    parameter SeedEsUrl "http://127.0.0.1:$ES_PORT"
    parameter ScheduleState "$SCHEDULES"
    # The dashboard's tests run several browsers at once.
    parameter OperatorConcurrency 0
    parameter BatchSize "${BATCH_SIZE:-}"
    parameter LogLevel "${LOG_LEVEL:-}"
}

# parameter NAME VALUE, quoted as `sam deploy --parameter-overrides` reads it.
parameter() {
    local value=${2//\\/\\\\}
    printf '%s="%s"\n' "$1" "${value//\"/\\\"}"
}

# stack_outputs [URL]: the outputs of the deployed stack as NAME=VALUE lines; fails where nothing is deployed.
stack_outputs() { on_aws AWS_ENDPOINT_URL="${1:-$AWS_URL}" "$VENV/bin/python" "$HERE/lib/stack_outputs.py" "$STACK_NAME"; }

deployment_status() {
    is_running aws || return 0
    if stack_outputs "$(spec_of aws)" >/dev/null 2>&1; then
        printf '%-14s %-8s\n' functions deployed
    else
        printf '%-14s %-8s\n' functions 'not deployed (local/stack up)'
    fi
}
