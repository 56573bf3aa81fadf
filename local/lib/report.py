"""Tells what a run of the demo did: report.py MIGRATION SECONDS ARCHIVED-BEFORE ARCHIVED-NOW

From what the API says and from what stands in the bucket, not from what the run believes to have done.
"""

import json
import os
import sys
import urllib.request

import boto3

KEYS_SHOWN = 3


def get(path: str) -> dict:
    request = urllib.request.Request(os.environ["API_URL"] + path)
    request.add_header("Authorization", "Bearer " + os.environ["API_TOKEN"])
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def objects() -> list[dict]:
    pages = boto3.client("s3").get_paginator("list_objects_v2")
    prefix = f"{os.environ['PREFIX']}/source={os.environ['SOURCE_NAME']}/dt="
    return [found for page in pages.paginate(Bucket=os.environ["BUCKET"], Prefix=prefix) for found in page.get("Contents", [])]


def size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def main() -> None:
    migration, seconds, before, archived = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    status, stats, stored = get(f"/migrate/status/{migration}"), get("/queue/stats"), objects()
    newly = archived - before
    progress = status["progress"]
    rows = [
        ("messages on record", f"{progress['known']:,} in the range of this migration"),
        ("archived", f"{progress['success']:,}, of them {newly:,} by this run"),
        ("missing / quarantined", f"{progress['missing']:,} / {progress['quarantined']:,}"),
        ("harvest and export", f"{seconds:.1f} s, {newly / seconds:,.0f} messages/s" if newly else f"{seconds:.1f} s to find nothing to do"),
        ("objects in the archive", f"{len(stored):,}, {size(sum(found['Size'] for found in stored))} compressed"),
        ("batches parked", f"{stats['parked']:,}"),
        ("verdict", status["migration"]["verdict"] or "none"),
    ]
    for name, value in rows:
        print(f"  {name:<24}{value}")
    print(f"\n  {get('/proof')['line']}")
    print("\n  Some of the objects, in s3://" + os.environ["BUCKET"])
    for found in stored[:KEYS_SHOWN]:
        print(f"    {found['Key']}  ({size(found['Size'])})")
    print(
        """
  Look around (the stack stays up):
    . .local/env                                       addresses and credentials for any client
    .local/bin/granary status                          health, batches and queues
    .local/bin/granary migrate list                    what was asked for
    curl -H "Authorization: Bearer $API_TOKEN" "$API_URL/queue/stats"
    make status                                        what runs, and where its log is
    make down                                          stop; the data stays"""
    )
    print(
        f"""
  The dashboard shows this run:
    {os.environ['API_URL']}/dashboard/#/migrations/{migration}
    token: {os.environ['API_TOKEN']}  (an operator's; a viewer's is in .local/env)"""
    )


main()
