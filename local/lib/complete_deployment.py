"""Sets what the emulator leaves out when it deploys the template: complete_deployment.py TEMPLATE STACK.

That is the functions' reserved concurrency, which it enforces but does not take from CloudFormation.
"""

import sys

import boto3
import yaml


class Loader(yaml.SafeLoader):
    """Reads a tagged node (!Ref, !Sub …) as nothing: only literal values matter here."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def main(template_path, stack_name):
    with open(template_path, encoding="utf-8") as file:
        resources = yaml.load(file, Loader)["Resources"]
    functions = boto3.client("lambda")
    deployed = boto3.client("cloudformation").describe_stack_resources(StackName=stack_name)["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in deployed}
    for logical_id, resource in resources.items():
        reserved = resource.get("Properties", {}).get("ReservedConcurrentExecutions")
        if reserved is not None:
            functions.put_function_concurrency(FunctionName=names[logical_id], ReservedConcurrentExecutions=reserved)


main(*sys.argv[1:])
