# The AWS emulator: S3, SQS, SNS, Lambda, EventBridge Scheduler, API Gateway and CloudFormation behind one port. It runs
# the functions' binaries as processes of its own session. Its state (objects, queues, the deployed stack) is kept in
# .local/aws over a `down`, because the ledger's is, and the two must agree.

AWS_URL=http://127.0.0.1:$AWS_PORT
AWS_LOCAL_REGION=us-east-1
# What functions of tests have asked for: `make test` compares it with their grants.
RECORDED_CALLS=$LOCAL/run/recorded-calls

aws_up() {
    local spec=$AWS_URL
    runs_as aws "$spec" && return 0
    need_port "$AWS_PORT" AWS_PORT "the AWS emulator"
    mkdir -p "$LOCAL/aws/state" "$LOCAL/aws/s3" "$LOCAL/aws/tmp"
    # State is saved by an orderly end alone. If the last deployment is younger than that, it is lost: deploy again.
    [ "$LOCAL/aws/state/cloudformation.json" -nt "$LOCAL/aws/deployed" ] || rm -f "$LOCAL/aws/deployed"
    # TMPDIR: the functions' code and their spool files go there. The endpoint is what the functions get to see.
    start_service aws "$spec" "${ON_AWS[@]}" TMPDIR="$LOCAL/aws/tmp" GATEWAY_PORT="$AWS_PORT" BIND_HOST=127.0.0.1 \
        PERSIST_STATE=1 STATE_DIR="$LOCAL/aws/state" S3_PERSIST=1 S3_DATA_DIR="$LOCAL/aws/s3" \
        RECORDED_CALLS="$RECORDED_CALLS" IOT_MTLS_ENABLED=false SFTP_ENABLED=false \
        "$VENV/bin/python" "$HERE/lib/emulator.py"
}

aws_ready() { wait_ready aws 60 curl -sf -m 5 "$AWS_URL/_ministack/health"; }

# on_aws COMMAND...: runs it against the emulator and cannot run it against anything else: profiles, configuration files
# and endpoints that a developer has for the real AWS are out of its sight.
on_aws() {
    "${ON_AWS[@]}" "$@"
}

ON_AWS=(
    env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE -u AWS_SESSION_TOKEN -u AWS_WEB_IDENTITY_TOKEN_FILE -u AWS_ROLE_ARN
    -u AWS_CA_BUNDLE -u AWS_ENDPOINT_URL_S3 -u AWS_ENDPOINT_URL_LAMBDA -u AWS_ENDPOINT_URL_CLOUDFORMATION
    AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
    AWS_ENDPOINT_URL="$AWS_URL" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    AWS_REGION="$AWS_LOCAL_REGION" AWS_DEFAULT_REGION="$AWS_LOCAL_REGION"
    NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}" SAM_CLI_TELEMETRY=0 PYTHONDONTWRITEBYTECODE=1
)
