# .local/env: every address and credential of the running stack as `export NAME='value'` lines, for people, tests and any
# other client. The GRANARY_ names are those that the functions read, so that one started by hand works on this stack.

# The source that the local stack serves.
SOURCE_NAME=messages
SOURCE_INDEX=messages
SOURCE_ID_FIELD=message_id
SOURCE_TIME_FIELD=created_at
METADATA_SOURCES='[{"name":"status","index":"message-status","key":"message_id"},{"name":"history","index":"message-history","key":"message_id","many":true,"sort":"at"},{"name":"processing","index":"message-processing","key":"message_id","many":true,"sort":"at"}]'
PREFIX=archive

ledger_url() { echo "mysql://granary:$LEDGER_PASSWORD@127.0.0.1:$MYSQL_PORT/granary"; }

# The list of tokens that the operator takes: the hashes of the two that API_TOKEN and API_VIEWER_TOKEN are.
tokens_document() {
    printf '{"tokens":[{"name":"operator","role":"operator","sha256":"%s"},{"name":"viewer","role":"viewer","sha256":"%s"}]}' \
        "$(hash_of "$OPERATOR_TOKEN")" "$(hash_of "$VIEWER_TOKEN")"
}

hash_of() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }

write_environment() {
    (umask 077 && environment >"$LOCAL/env.new")
    mv "$LOCAL/env.new" "$LOCAL/env"
}

environment() {
    echo "# Written by local/stack. Use: . .local/env"
    line ES_VERSION "$ES_VERSION"
    line ES_URL "http://127.0.0.1:$ES_PORT"
    line SOURCE_NAME "$SOURCE_NAME"
    line SOURCE_INDEX "$SOURCE_INDEX"
    line SOURCE_ID_FIELD "$SOURCE_ID_FIELD"
    line SOURCE_TIME_FIELD "$SOURCE_TIME_FIELD"
    ledger_environment
    line AWS_ENDPOINT_URL "$AWS_URL"
    line AWS_ACCESS_KEY_ID test
    line AWS_SECRET_ACCESS_KEY test
    line AWS_REGION "$AWS_LOCAL_REGION"
    line AWS_DEFAULT_REGION "$AWS_LOCAL_REGION"
    line AWS_EC2_METADATA_DISABLED true
    line RECORDED_CALLS "$RECORDED_CALLS"
    line EMULATOR_LOG "$LOCAL/log/aws.log"
    line PREFIX "$PREFIX"
    line SCHEMATHESIS "$VENV/bin/schemathesis"
    line SAM_PYTHON "$VENV/bin/python"
    line API_TOKEN "$OPERATOR_TOKEN"
    line API_VIEWER_TOKEN "$VIEWER_TOKEN"

    line GRANARY_ENVIRONMENT local
    line GRANARY_SOURCE_NAME "$SOURCE_NAME"
    line GRANARY_SOURCE_INDEX "$SOURCE_INDEX"
    line GRANARY_SOURCE_ID_FIELD "$SOURCE_ID_FIELD"
    line GRANARY_SOURCE_TIME_FIELD "$SOURCE_TIME_FIELD"
    line GRANARY_METADATA_SOURCES "$METADATA_SOURCES"
    line GRANARY_ES_URL "http://127.0.0.1:$ES_PORT"
    line GRANARY_LEDGER_URL "$(ledger_url)"
    line GRANARY_PREFIX "$PREFIX"
    line GRANARY_TOKENS "$(tokens_document)"
    line GRANARY_ALLOW_SEEDING true
    line GRANARY_SEED_ES_URL "http://127.0.0.1:$ES_PORT"
    deployed_environment
}

# Where the ledger's server is, and what it runs as: tests start others like it.
ledger_environment() {
    line LEDGER_SERVER "$LEDGER_SERVER"
    line LEDGER_PROGRAM "$(ledger_program)"
    line LEDGER_EMPTY_DATA "$(ledger_home)/empty"
    line LEDGER_CLIENT "$(ledger_client)"
    line LEDGER_URL "$(ledger_url)"
    line LEDGER_ADMIN_URL "mysql://root:$ROOT_PASSWORD@127.0.0.1:$MYSQL_PORT/"
    line LEDGER_SOCKET "$(ledger_socket)"
}

# What only a deployed stack has. Its queues and topics are named by it, so its own outputs say where they are.
deployed_environment() {
    local -A output=()
    local name value
    while IFS='=' read -r name value; do output[$name]=$value; done < <(stack_outputs 2>/dev/null)
    if [ "${#output[@]}" -eq 0 ]; then
        echo "# No functions are deployed (local/stack up): no BUCKET, QUEUE_URL, API_URL and the like."
        return 0
    fi
    line STACK_NAME "$STACK_NAME"
    line BUCKET "${output[BucketName]}"
    line QUEUE_URL "${output[QueueUrl]}"
    line PRIORITY_QUEUE_URL "${output[PriorityQueueUrl]}"
    line DLQ_URL "${output[DlqUrl]}"
    line PRIORITY_DLQ_URL "${output[PriorityDlqUrl]}"
    line ALERT_TOPIC_ARN "${output[AlertTopicArn]}"
    # The emulator serves an API by its path; by host name its own routes would hide some of ours.
    line API_URL "$AWS_URL/_aws/execute-api/${output[ApiId]}/\$default"

    line GRANARY_BUCKET "${output[BucketName]}"
    line GRANARY_QUEUE_URL "${output[QueueUrl]}"
    line GRANARY_PRIORITY_QUEUE_URL "${output[PriorityQueueUrl]}"
    line GRANARY_DLQ_URL "${output[DlqUrl]}"
    line GRANARY_PRIORITY_DLQ_URL "${output[PriorityDlqUrl]}"
    line GRANARY_ALERT_TOPIC_ARN "${output[AlertTopicArn]}"
    line GRANARY_HARVESTER_SCHEDULE "${output[HarvesterSchedule]}"
    line GRANARY_REAPER_SCHEDULE "${output[ReaperSchedule]}"
    line GRANARY_EXPORTER_FUNCTION "${output[ExporterFunctionName]}"
    line GRANARY_MIGRATOR_FUNCTION "${output[MigratorFunctionName]}"
}

# line NAME VALUE: single quotes, so that a `$default` or a JSON value means itself.
line() { printf "export %s='%s'\n" "$1" "${2//\'/\'\\\'\'}"; }

print_environment() {
    [ -e "$LOCAL/env" ] || die "no stack has been started here" "run: local/stack up"
    cat "$LOCAL/env"
}
