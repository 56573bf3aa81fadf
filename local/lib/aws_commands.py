"""Holds the commands of the AWS CLI in documents to botocore's models: aws_commands.py DOCUMENT…

The command line is made of these models, so what passes here has a name, options and required options that `aws` knows. No
service is asked: whether a value is one that exists is not checked. Prints how many commands it read.
"""

import re
import shlex
import sys

import botocore.session
from botocore import xform_name

# What `aws` takes with each command, beside the operation's own options.
GLOBAL_OPTIONS = {"query", "output"}


def commands(text):
    """The commands in indented lines, also within `$(…)`, with continued lines joined."""
    code = "\n".join(line for line in text.split("\n") if line.startswith("    "))
    code = re.sub(r"\\\n\s*", "", code)
    for line in code.split("\n"):
        within = re.search(r"\$\((aws [^)]*(?:\([^)]*\)[^)]*)*)\)\s*$", line)
        if within or line.strip().startswith("aws "):
            yield within.group(1) if within else line.strip()


def faults(session, command):
    """What `aws` would refuse."""
    _, service, operation, *arguments = shlex.split(command, comments=True)
    model = session.get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"{service} has no operation {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): member for name, member in shape.members.items()}
    given = {argument[2:] for argument in arguments if argument.startswith("--")}
    found = [f"no option --{name}" for name in sorted(given - members.keys() - GLOBAL_OPTIONS)]
    required = {xform_name(name, "-") for name in shape.required_members}
    found += [f"--{name} is required" for name in sorted(required - given)]
    for option, value in zip(arguments, arguments[1:]):
        member = members.get(option[2:]) if option.startswith("--") else None
        if member and member.type_name == "integer" and not value.isdigit():
            found.append(f"{option} takes a number")
    return found


def main(*documents):
    session = botocore.session.get_session()
    read, refused = 0, []
    for document in documents:
        with open(document, encoding="utf-8") as file:
            for command in commands(file.read()):
                read += 1
                refused += [f"{document}: {command}: {fault}" for fault in faults(session, command)]
    if refused:
        sys.exit("\n".join(refused))
    print(read)


main(*sys.argv[1:])
