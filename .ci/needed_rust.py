"""Reads `cargo metadata`, and fails if a crate that users of wharf build needs a newer Rust than the argument."""

import json
import sys


def number(version):
    return [int(part) for part in f"{version}.0.0".split(".")[:3]]


def built_by_users(metadata, names):
    """The packages with these names and all that they need but for their tests."""
    needs = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    waiting = [id for id, package in packages.items() if package["name"] in names]
    seen = set(waiting)
    while waiting:
        for dependency in needs[waiting.pop()]:
            only_tests = all(kind["kind"] == "dev" for kind in dependency["dep_kinds"])
            if not only_tests and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return [packages[id] for id in seen]


oldest = sys.argv[1]
packages = built_by_users(json.load(sys.stdin), ("wharf", "wharf-protocols"))
newer = [package for package in packages if number(package["rust_version"] or "1.0") > number(oldest)]
for package in newer:
    print(package["name"], package["version"], "needs Rust", package["rust_version"], file=sys.stderr)
print(f"{len(packages)} crates, of which {len(newer)} need a newer Rust than {oldest}")
sys.exit(bool(newer))
