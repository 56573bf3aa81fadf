"""Invokes a deployed function once, as its schedule does every minute: invoke.py harvester|reaper|migrator [SECONDS]

With SECONDS it goes on until that time is over or it is terminated, a second after each answer. A function that is
already at work (its concurrency is reserved) is no error: the schedule was first.
"""

import os
import sys
import time

import boto3
from botocore.config import Config


def main() -> None:
    function = f"{os.environ['STACK_NAME']}-{sys.argv[1]}"
    until = time.monotonic() + float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    client = boto3.client("lambda", config=Config(read_timeout=900, retries={"max_attempts": 0}))
    while True:
        try:
            answer = client.invoke(FunctionName=function, Payload=b"{}")
            if "FunctionError" in answer:
                sys.exit(f"{function} failed: {answer['Payload'].read().decode()}")
        except client.exceptions.TooManyRequestsException:
            pass
        if time.monotonic() >= until:
            return
        time.sleep(1)


main()
