"""Prints, as JSON, what SAM makes of a template: transformed_template.py TEMPLATE.

It is the translator that AWS runs when it deploys, without managed policies to look up: a role that refers to one by name keeps
the name. The functions' code lies nowhere, so it gets an address.
"""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def main(template_path):
    with open(template_path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code"
    json.dump(Translator({}, Parser()).translate(template, {}), sys.stdout)


main(*sys.argv[1:])
