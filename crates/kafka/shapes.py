#!/usr/bin/env python3
"""Makes src/honest/shapes/*.rs from Apache Kafka's message definitions.

    unzip -d DIR kafka-clients-4.3.0.jar 'common/message/*'
    python3 crates/kafka/shapes.py DIR/common/message && cargo fmt -p bongsu-kafka

The jar is org.apache.kafka:kafka-clients of Maven Central; the same files are in
clients/src/main/resources/common/message of https://github.com/apache/kafka.
"""

import json
import re
import sys
from pathlib import Path

FILES = {
    "records": [0, 1, 2, 3, 21, 23, 35],
    "groups": [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69],
    "shares": [76, 77, 78, 79, 90, 91, 92],
    "transactions": [22, 24, 25, 26, 28, 61, 65, 66],
    "admin": [18, 19, 20, 32, 33, 37, 43, 44, 45, 46, 55, 57, 60, 74, 75],
    "access": [17, 29, 30, 31, 36, 38, 39, 40, 41, 48, 49, 50, 51],
}
FIXED = {
    "bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4,
    "int64": 8, "float64": 8, "uuid": 16,
}  # fmt: skip
HEAD = """//! {what}
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{{Request, Shape}};
"""
END = 32767


def load(path):
    text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
    return json.loads(text)


def versions(text):
    """First and last, or None for no version."""
    if text in (None, "none"):
        return None
    if text.endswith("+"):
        return int(text[:-1]), END
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def fields(described, common):
    found = []
    for field in described:
        first, last = versions(field["versions"])
        assert "flexibleVersions" not in field, field
        kind = field["type"]
        array = kind.startswith("[]")
        inner = kind.removeprefix("[]")
        if inner in FIXED:
            made = ("Fixeds" if array else "Fixed", FIXED[inner])
        elif inner == "string":
            made = ("Strings" if array else "String", None)
        elif inner in ("bytes", "records"):
            assert not array, field
            made = ("Bytes", None)
        else:
            nested = fields(field.get("fields") or common[inner], common)
            optional = not array and field.get("nullableVersions")
            made = ("Structs" if array else "Option" if optional else "Struct", nested)
            if optional:
                assert versions(optional)[0] <= first, field
        tagged = versions(field.get("taggedVersions"))
        if tagged:
            assert tagged[0] == first and tagged[1] == last, field
        found.append((first, last, field["tag"] if tagged else None, made))
    return joined(found)


def joined(found):
    """Fixed fields of the same versions side by side are one."""
    result = []
    for first, last, tag, (kind, inner) in found:
        if result and kind == "Fixed" and tag is None:
            before = result[-1]
            if before[:3] == (first, last, None) and before[3][0] == "Fixed":
                result[-1] = (first, last, None, ("Fixed", before[3][1] + inner))
                continue
        result.append((first, last, tag, (kind, inner)))
    return result


def written(found):
    lines = []
    for first, last, tag, (kind, inner) in found:
        if isinstance(inner, list):
            text = f"Shape::{kind}(&[{written(inner)}])"
        elif inner is not None:
            text = f"Shape::{kind}({inner})"
        else:
            text = f"Shape::{kind}"
        if last != END:
            text = f"{text}.until({last})"
        if first != 0:
            text = f"{text}.since({first})"
        elif last == END:
            text = f"{text}.always()"
        if tag is not None:
            text = f"{text}.tagged({tag})"
        lines.append(text)
    return ",".join(lines)


def main():
    source = Path(sys.argv[1])
    target = Path(__file__).parent / "src/honest/shapes"
    target.mkdir(exist_ok=True)
    requests = {}
    for path in source.glob("*Request.json"):
        described = load(path)
        requests[described["apiKey"]] = described

    def row(described, key, constructor="Request"):
        common = {s["name"]: s["fields"] for s in described.get("commonStructs", [])}
        flexible = versions(described["flexibleVersions"])
        return (
            f"// {described['name']}\n{constructor} {{ key: {key}, "
            f"flexible_since: {flexible[0] if flexible else END}, "
            f"fields: &[{written(fields(described['fields'], common))}] }}"
        )

    for name, keys in FILES.items():
        rows = [row(requests[key], key) for key in sorted(keys)]
        text = HEAD.format(what=f"Shapes of requests: {name}.")
        text += f"\npub(super) const {name.upper()}: &[Request] = &[\n"
        text += ",\n".join(rows) + ",\n];\n"
        (target / f"{name}.rs").write_text(text)

    text = HEAD.format(what="Shapes of what classic consumers say to each other.")
    for name in ("Subscription", "Assignment"):
        described = load(source / f"ConsumerProtocol{name}.json")
        text += f"\npub(in super::super) const {name.upper()}: Request = "
        text += row(described, -1) + ";\n"
    (target / "consumers.rs").write_text(text)


if __name__ == "__main__":
    main()
