"""Prints the outputs of a deployed stack as NAME=VALUE lines: stack_outputs.py STACK. Fails where it isn't deployed."""

import sys

import boto3
from botocore.exceptions import ClientError


def main(stack_name):
    try:
        stack = boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        sys.exit(f"{stack_name}: {error}")
    if not stack["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in stack["StackStatus"] or "DELETE" in stack["StackStatus"]:
        sys.exit(f"{stack_name} is {stack['StackStatus']}")
    for output in stack.get("Outputs", []):
        print(f"{output['OutputKey']}={output['OutputValue']}")


main(*sys.argv[1:])
