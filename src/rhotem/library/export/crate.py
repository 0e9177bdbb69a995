"""Entries with a description that data archives read: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1)."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rhotem
from rhotem.library.entry import Entry
from rhotem.library.layout import CHECKSUMS, DENSITY, DESCRIPTION, RESPONSE, STRUCTURE, THUMBNAIL, write_json
from rhotem.library.store import Library

METADATA, SPECIFICATION = "ro-crate-metadata.json", "https://w3id.org/ro/crate/1.1"


def write(library: Library, entries: list[Entry], folder: Path) -> list[str]:
    """Copies of the entries, a folder each, and the description of all."""
    for entry in entries:
        shutil.copytree(entry.path.parent, folder / entry.id)
    graph: list[dict[str, Any]] = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"{len(entries)} simulated scattering responses",
            "description": "Responses of specimens in a scanning transmission electron microscope: each holds the "
            "images of every focus, aperture and detector at its thicknesses.",
            "datePublished": datetime.now(UTC).date().isoformat(),
            "license": {"@id": "#license"},
            "hasPart": [{"@id": f"{entry.id}/"} for entry in entries],
            "mentions": [{"@id": f"#made-{entry.id}"} for entry in entries],
        },
        {"@id": "#license", "@type": "CreativeWork", "name": "to be chosen by whoever publishes this"},
        {
            "@id": "#rhotem",
            "@type": "SoftwareApplication",
            "name": "RhoTEM",
            "softwareVersion": rhotem.__version__,
        },
    ]
    for entry in entries:
        graph += _described(entry)
    write_json(folder / METADATA, {"@context": f"{SPECIFICATION}/context", "@graph": graph})
    return [METADATA, *(entry.id for entry in entries)]


def _described(entry: Entry) -> list[dict[str, Any]]:
    """An entry and its files."""
    files = {
        THUMBNAIL: ("image/png", "images at the largest thickness"),
        DESCRIPTION: ("application/json", "formula, columns, contrasts, and the task that made it"),
        STRUCTURE: ("chemical/x-cif", "the crystal"),
        "record.json": ("application/json", "plan, inputs with their hashes, versions"),
        CHECKSUMS: ("application/json", "SHA-256 of every file"),
    }
    place = f"{entry.id}/"
    listed = [
        {"@id": place + name, "@type": "File", "name": name, "encodingFormat": kind, "description": about}
        for name, (kind, about) in files.items()
    ]
    groups = {RESPONSE: "rhotem-response", DENSITY: "rhotem-density-summary"}
    held = [
        {"@id": f"{place}{name}/", "@type": "Dataset", "name": name, "description": f"Zarr group, format {form}"}
        for name, form in groups.items()
        if (entry.path.parent / name).is_dir()
    ]
    return [
        {
            "@id": place,
            "@type": "Dataset",
            "name": entry.title,
            "identifier": entry.id,
            "description": f"{entry.formula} along {entry.zone}, {entry.energy:g} keV, {entry.convergence:g} mrad, "
            f"density {entry.source}",
            "keywords": [entry.formula, *entry.elements, entry.prototype],
            "thumbnail": {"@id": place + THUMBNAIL},
            "hasPart": [{"@id": part["@id"]} for part in [*listed, *held]],
        },
        *listed,
        *held,
        {
            "@id": f"#made-{entry.id}",
            "@type": "CreateAction",
            "name": f"simulation of {entry.title}",
            "instrument": {"@id": "#rhotem"},
            "result": {"@id": place},
        },
    ]
