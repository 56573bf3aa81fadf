"""Sets what the emulator leaves out when it deploys the template: complete_deployment.py TEMPLATE STACK.

That is the functions' reserved concurrency, which it enforces but does not take from CloudFormation. The template has it as a number,
or as !If [CONDITION, !Ref PARAMETER, ...], where 0 reserves none.
"""

import sys

import boto3
import yaml


class Loader(yaml.SafeLoader):
    """Reads !Ref as the name, !If as the list of its parts, and every other tagged node as nothing."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
Loader.add_constructor("!Ref", lambda loader, node: loader.construct_scalar(node))
Loader.add_constructor("!If", lambda loader, node: loader.construct_sequence(node, deep=True))


def main(template_path, stack_name):
    with open(template_path, encoding="utf-8") as file:
        template = yaml.load(file, Loader)
    functions, cloudformation = boto3.client("lambda"), boto3.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    given = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])}
    deployed = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in deployed}
    for logical_id, resource in template["Resources"].items():
        reserved = resource.get("Properties", {}).get("ReservedConcurrentExecutions")
        if isinstance(reserved, list):
            parameter = reserved[1]
            reserved = int(given.get(parameter, template["Parameters"][parameter]["Default"]))
        if reserved:
            functions.put_function_concurrency(FunctionName=names[logical_id], ReservedConcurrentExecutions=reserved)


main(*sys.argv[1:])
