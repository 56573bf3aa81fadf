"""Print the template of a package: each function's code is the zip beside it.

    python3 packaged_template.py template.yaml
"""

import re
import sys

# A function's `Binary`, and the `CodeUri` that follows in the same resource.
FUNCTION = re.compile(r"^        Binary: (\w+)\n(?:(?!  \w).*\n)*?      CodeUri: (\.)$", re.MULTILINE)


def packaged(template):
    functions = FUNCTION.findall(template)
    missed = template.count("CodeUri:") - len(functions)
    if missed:
        sys.exit(f"packaged_template.py: {missed} functions are written in another form than it reads")
    return FUNCTION.sub(lambda found: f"{found[0][: -len(found[2])]}./{found[1]}.zip", template)


if __name__ == "__main__":
    with open(sys.argv[1]) as template:
        sys.stdout.write(packaged(template.read()))
