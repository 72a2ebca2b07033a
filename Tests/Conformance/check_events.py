"""Holds events against asyncapi.yml, which is the argument: those on standard input, a JSON object {"type", "data"} a
line, and the document's own examples. Says what is wrong, and exits 1 when something is; also when a type that we send
is not among them.
"""

import json
import sys

import jsonschema_rs
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)
faults = []


def resolve(node):
    while "$ref" in node:
        found = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def validator(schema):
    """AsyncAPI's own schema language is that of draft 7."""
    whole = {"allOf": [schema], "components": document["components"]}
    return jsonschema_rs.Draft7Validator(whole, validate_formats=True)


def check(where, schema, value):
    for error in validator(schema).iter_errors(value):
        path = "/".join(str(part) for part in error.instance_path)
        faults.append(f"{where}: {path}: {error.message}")


payloads = {}
for channel in document["channels"].values():
    for message in map(resolve, channel["messages"].values()):
        payloads[channel["address"]] = message["payload"]
        headers = resolve(message["traits"][0])["headers"]
        for example in message["examples"]:
            where = f"example of {channel['address']}"
            check(where, message["payload"], example["payload"])
            if "headers" in example:
                check(where, headers, example["headers"])

seen = set()
for line in sys.stdin:
    event = json.loads(line)
    seen.add(event["type"])
    if event["type"] not in payloads:
        faults.append(f"{event['type']} is in no channel")
    else:
        check(f"{event['type']} {json.dumps(event['data'])}", payloads[event["type"]], event["data"])

for operation in document["operations"].values():
    address = resolve(operation["channel"])["address"]
    if operation["action"] == "send" and address not in seen:
        faults.append(f"no event {address} came")

print("\n".join(faults))
sys.exit(1 if faults else 0)
