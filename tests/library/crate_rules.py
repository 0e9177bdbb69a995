"""What RO-Crate 1.1 asks of a crate (researchobject.org/ro-crate/specification/1.1), sentence by sentence."""

import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

METADATA, SPECIFICATION = "ro-crate-metadata.json", "https://w3id.org/ro/crate/1.1"
#: Terms of the crates' context that are used here: a term that it lacks means nothing to a reader.
TERMS = {
    *("conformsTo", "about", "name", "description", "datePublished", "license", "hasPart", "mentions", "identifier"),
    *("keywords", "thumbnail", "encodingFormat", "softwareVersion", "url", "instrument", "result"),
}
TYPES = {"CreativeWork", "Dataset", "File", "SoftwareApplication", "CreateAction"}


def broken(folder: Path) -> list[str]:
    """Rules that the crate in a folder breaks."""
    document = json.loads((folder / METADATA).read_text("utf-8"))
    graph: list[dict[str, Any]] = document.get("@graph", [])
    nodes = {node.get("@id"): node for node in graph}
    found = []
    if document.get("@context") != f"{SPECIFICATION}/context":
        found.append("the context is that of RO-Crate 1.1")
    if set(document) != {"@context", "@graph"} or any("@id" not in node or "@type" not in node for node in graph):
        found.append("flattened: a list of nodes, each with @id and @type")
    if len(nodes) != len(graph):
        found.append("every @id stands once")
    about = nodes.get(METADATA, {})
    expected = {"@type": "CreativeWork", "conformsTo": {"@id": SPECIFICATION}, "about": {"@id": "./"}}
    if any(about.get(key) != value for key, value in expected.items()):
        found.append("the descriptor is a CreativeWork about ./ that conforms to RO-Crate 1.1")
    found += _of_root(nodes.get("./", {}))
    for node in graph:
        found += _of_node(node, nodes, folder)
    reached, open_ = set(), ["./"]
    while open_:
        here = open_.pop()
        reached.add(here)
        open_ += [part["@id"] for part in nodes.get(here, {}).get("hasPart", []) if part["@id"] not in reached]
    data = {name for name, node in nodes.items() if node["@type"] in ("File", "Dataset")}
    return found + [f"{name}: data are linked from the root by hasPart" for name in sorted(data - reached)]


def _of_root(root: dict[str, Any]) -> list[str]:
    found = [] if root.get("@type") == "Dataset" else ["the root is a Dataset"]
    found += [f"the root has {key}" for key in ("name", "description", "license") if not root.get(key)]
    try:
        date.fromisoformat(root.get("datePublished", "")[:10])
    except ValueError:
        found.append("datePublished is a date of ISO 8601")
    return found


def _of_node(node: dict[str, Any], nodes: dict[str, Any], folder: Path) -> list[str]:
    name, found = node["@id"], []
    found += [f"{name}: {key} is no term of the context" for key in node if key[0] != "@" and key not in TERMS]
    found += [f"{name}: type {node['@type']}"] if node["@type"] not in TYPES else []
    links = [v for value in node.values() for v in (value if isinstance(value, list) else [value])]
    outside = (SPECIFICATION,)
    for link in (one["@id"] for one in links if isinstance(one, dict)):
        if link not in nodes and link not in outside:
            found.append(f"{name}: {link} is described")
    if node["@type"] == "File" and not (folder / unquote(name)).is_file():
        found.append(f"{name}: a File is a file of the crate")
    if node["@type"] == "Dataset" and not (name.endswith("/") and (folder / unquote(name)).is_dir()):
        found.append(f"{name}: a Dataset is a folder of the crate, its @id ends in /")
    if node["@type"] in ("File", "Dataset") and (name.startswith("/") or ".." in name or "\\" in name or " " in name):
        found.append(f"{name}: a relative path as URI")
    if not (node.get("name") or name == METADATA or node["@type"] == "CreateAction"):
        found.append(f"{name}: has a name")
    return found
