"""Writes the template as `sam build` would leave it: built_template.py TEMPLATE OUTPUT [PARAMETER=NUMBER...].

Each function's CodeUri becomes the directory beside OUTPUT that holds its binary, and the build method goes. A !Ref to a
parameter of type Number becomes the number (the one given, or its default): CloudFormation converts it where a number is
needed, the emulator would compare text with numbers. Everything else, intrinsic functions included, stays what it is.
"""

import sys

import yaml


class Tagged:
    """A node with a tag such as !Ref or !Sub, carried through unread."""

    def __init__(self, tag, node):
        self.tag, self.node = tag, node


class Loader(yaml.SafeLoader):
    pass


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


Loader.add_multi_constructor("!", lambda loader, suffix, node: Tagged("!" + suffix, node))
Loader.yaml_implicit_resolvers = {
    key: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Dumper.add_representer(Tagged, lambda dumper, tagged: tagged.node)


def main(template_path, output_path, *overrides):
    with open(template_path, encoding="utf-8") as file:
        template = yaml.load(file, Loader)
    for resource in template["Resources"].values():
        metadata = resource.get("Metadata", {})
        if metadata.get("BuildMethod") == "rust-cargolambda":
            resource["Properties"]["CodeUri"] = metadata["BuildProperties"]["Binary"]
            del resource["Metadata"]

    parameters = template["Parameters"]
    numbers = {name: parameter["Default"] for name, parameter in parameters.items() if parameter["Type"] == "Number"}
    for override in overrides:
        name, value = override.split("=")
        numbers[name] = int(value)
    template = with_numbers(template, numbers)

    with open(output_path, "w", encoding="utf-8") as file:
        yaml.dump(template, file, Dumper, sort_keys=False, width=200)


def with_numbers(value, numbers):
    if isinstance(value, dict):
        return {key: with_numbers(item, texts_of(numbers) if key == "Variables" else numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item, numbers) for item in value]
    if isinstance(value, Tagged) and value.tag == "!Ref":
        return numbers.get(value.node.value, value)
    return value


def texts_of(numbers):
    """An environment holds texts alone: the emulator can't start a process that is given a number."""
    return {name: str(number) for name, number in numbers.items()}


main(*sys.argv[1:])
