"""Notes which action each function takes at the emulator, and on what: a line for each that is new, in the file that RECORDED_CALLS
names, as in `harvester sqs:SendMessage stage-#-batches`.

A function of the tests signs its requests with its own name as access key. The actions are those that IAM knows, as the emulator's
own judgement of policies would have them. Runs of letters and digits that only one test has are `#`. Where the file has been
removed, the record begins again.

`GET /_calls` says how often each function has taken each action since the emulator's start: the benchmark reads it.
"""

import json
import os
import re
from collections import Counter
from urllib.parse import parse_qs

from ministack.core.iam_actions import extract_iam_action

COUNTS = "/_calls"
FUNCTIONS = {"migrator", "harvester", "exporter", "reaper", "operator"}
CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request")
# The emulator's own table takes reading a setting of a function for writing it, and one trigger for a list of them.
LAMBDA = (
    ("GET", re.compile(r"/[^/]+/event-source-mappings/?"), "ListEventSourceMappings"),
    ("GET", re.compile(r"/[^/]+/event-source-mappings/[^/]+"), "GetEventSourceMapping"),
    ("PUT", re.compile(r"/[^/]+/event-source-mappings/[^/]+"), "UpdateEventSourceMapping"),
    ("GET", re.compile(r"/[^/]+/functions/[^/]+/concurrency"), "GetFunctionConcurrency"),
    ("POST", re.compile(r"/[^/]+/functions/[^/]+/invocations"), "InvokeFunction"),
)
OF_ONE_TEST = re.compile(r"[0-9a-f]*\d[0-9a-f]*")


class Recording:
    """The application, with a record beside it. A request that can't be understood is noted as it is, for the test to refuse."""

    def __init__(self, app, path):
        self.app, self.path, self.noted, self.counts = app, path, set(), Counter()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == COUNTS:
            await answer(send, self.counts)
            return
        signed = signed_by_a_function(scope)
        if signed:
            function, service = signed
            body = b""
            if service != "s3":
                body, receive = await read(receive)
            taken = f"{function} {action_of(service, scope, body)}"
            self.counts[taken] += 1
            self.note(f"{taken} {resource_of(service, scope, body)}")
        await self.app(scope, receive, send)

    def note(self, line):
        if not os.path.exists(self.path):
            self.noted.clear()
        if line not in self.noted:
            with open(self.path, "a", encoding="utf-8") as record:
                record.write(f"{line}\n")
            self.noted.add(line)


async def answer(send, value):
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


def signed_by_a_function(scope):
    if scope["type"] != "http":
        return None
    credential = CREDENTIAL.match(headers_of(scope).get("authorization", ""))
    return credential.groups() if credential and credential[1] in FUNCTIONS else None


def headers_of(scope):
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def read(receive):
    """All of a body, and how to receive it once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)

    async def again():
        return messages.pop(0) if messages else await receive()

    return body, again


def action_of(service, scope, body):
    method, path = scope["method"], scope["path"]
    unknown = f"{service}:{method}:{path}".replace(" ", "+")
    if service == "lambda":
        names = (name for of, pattern, name in LAMBDA if of == method and pattern.fullmatch(path))
        return next((f"lambda:{name}" for name in names), unknown)
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    action = extract_iam_action(service, method, path, headers_of(scope), body, query)
    # Requests for several messages at once are no actions of their own.
    return (action or unknown).removesuffix("Batch")


def resource_of(service, scope, body):
    """A queue's name, or a bucket's with a key; `-` for what a scenario has one of."""
    if service == "s3":
        return OF_ONE_TEST.sub("#", scope["path"].strip("/").replace(" ", "+"))
    if service == "sqs":
        fields = json.loads(body or b"{}")
        name = fields.get("QueueUrl", "").split("/")[-1] or fields.get("SourceArn", "").split(":")[-1]
        return OF_ONE_TEST.sub("#", name) or "-"
    return "-"
