"""Search of a library of 100,000 entries: twelve questions to SQLite, and to a PostgreSQL server in the same run.

    python benchmarks/library_search.py FOLDER [--entries 100000] [--server postgresql://USER@HOST/DATABASE]

Rows are made up, with 24 rows of contrast each (three images, two kinds of columns, four thicknesses). Times are the
shortest of three, of this process and, for SQLite, of all the work; a server works elsewhere, so clocks count there.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sqlalchemy import delete, insert

from rhotem.library.appearance import HARMONICS, RINGS, of_picture
from rhotem.library.catalogue.tables import METADATA, appearances, contrasts, elements, entries, fingerprints
from rhotem.library.fingerprint import LENGTH
from rhotem.library.search.contrast import by_contrast, parse_contrast
from rhotem.library.search.filters import Filter
from rhotem.library.search.picture import nearest
from rhotem.library.search.similar import similar
from rhotem.library.store import Library
from rhotem.structure.phases import phase

METALS, ANIONS = ["Co", "Ni", "Mn", "Fe", "Ti", "V", "Cr", "Al", "Mg", "Zr"], ["O", "F", "S", "P", "Cl"]
BATCH = 5000


def rows(number: int, first: int, rng: np.random.Generator) -> dict:
    """Rows of some entries."""
    made: dict = {"entries": [], "elements": [], "contrasts": [], "fingerprints": [], "appearances": []}
    for i in range(first, first + number):
        name = f"{rng.integers(2**40):010x}{i:010x}"
        symbols = sorted({"Li" if rng.random() < 0.7 else "Na", *rng.choice(METALS, 2), str(rng.choice(ANIONS))})
        thickest = float(rng.uniform(2, 20))
        made["entries"].append(
            {
                "id": name,
                "title": f"entry {i}",
                "formula": "".join(symbols),
                "elements": " ".join(symbols),
                "zone": ("[100]", "[001]", "[110]")[i % 3],
                "thicknesses": "[1.0]",
                "thinnest": 1.0,
                "thickest": thickest,
                "preset": "layered-oxide",
                "source": "model",
                "energy": 200.0,
                "convergence": 22.0,
                "temperature": 300.0,
                "spacegroup": int(rng.integers(1, 231)),
                "prototype": f"ABC2 {i % 40}",
                "defect": "vacancy Li 5%" if i % 4 == 0 else "",
                "atoms": 12,
                "seconds": 60.0,
                "bytes": 10**7,
                "checksum": "0" * 64,
                "state": "good",
                "created": "2026-01-01",
            }
        )
        made["elements"] += [{"symbol": s, "entry": name} for s in symbols]
        values = rng.normal(0, 0.15, (3, 2, 4))
        for a, image in enumerate(("HAADF", "ABF", "eABF")):
            for b, label in enumerate((symbols[0], symbols[-1])):
                for c, deep in enumerate((0.25, 0.5, 0.75, 1.0)):
                    made["contrasts"].append(
                        {
                            "entry": name,
                            "image": image,
                            "label": label,
                            "thickness": deep * thickest,
                            "defocus": 0.0,
                            "contrast": float(values[a, b, c]),
                            "noise": 3.0,
                        }
                    )
        vector = rng.random(LENGTH).astype(np.float32)
        for image in ("HAADF", "ABF", "eABF"):
            looks = rng.normal(size=(2, RINGS, HARMONICS)).astype("<f2").tobytes()
            made["appearances"].append({"entry": name, "image": image, "harmonics": looks})
        made["fingerprints"].append({"entry": name, "vector": (vector / np.linalg.norm(vector)).tobytes()})
    return made


def fill(library: Library, number: int) -> None:
    """Rows for so many entries; the same every time."""
    rng = np.random.default_rng(0)
    tables = {table.name: table for table in (entries, elements, contrasts, fingerprints, appearances)}
    with library.catalogue.begin() as connection:
        for table in tables.values():
            connection.execute(delete(table))
    for first in range(0, number, BATCH):
        made = rows(min(BATCH, number - first), first, rng)
        with library.catalogue.begin() as connection:
            for name, table in tables.items():
                connection.execute(insert(table), made[name])


def ask(library: Library) -> dict:
    """Twelve questions."""
    some = library.catalogue.entries(limit=1)[0].id
    crystal = phase("LiCoO2")
    picture = np.random.default_rng(1).poisson(3.0, (256, 256))

    def filtered(**what: object) -> int:
        return len(library.catalogue.entries(Filter(**what).conditions(), limit=50))  # type: ignore[arg-type]

    def contrast(words: str, **what: object) -> int:
        conditions = Filter(**what).conditions() if what else ()  # type: ignore[arg-type]
        return len(by_contrast(library, parse_contrast(words), conditions))

    return {
        "one entry": lambda: library.entry(some),
        "formula": lambda: filtered(formula="LiCoNiO"),
        "three elements, one absent": lambda: filtered(elements=("Li", "Co", "O"), without=("Ni",)),
        "space group and zone": lambda: filtered(spacegroup=166, zone="[100]"),
        "prototype, part of its name": lambda: filtered(prototype="ABC2 3"),
        "defect and elements": lambda: filtered(defect="vacancy Li", elements=("Mn",)),
        "ABF Li contrast > 0.1": lambda: contrast("ABF Li contrast > 0.1"),
        "... at 1e4 e/Å², 5-15 nm": lambda: contrast("ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm"),
        "... with manganese": lambda: contrast("ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm", elements=("Mn",)),
        "similar structure": lambda: len(similar(library, crystal)),
        "picture of 256² pixels": lambda: len(nearest(library, of_picture(picture, (0.2, 0.2)))[0]),
        "... HAADF only": lambda: len(nearest(library, of_picture(picture, (0.2, 0.2)), ["HAADF"])[0]),
    }


def shortest(call: object) -> tuple[float, float]:
    """Processor time and time on the clock in s, the least of three."""
    best = [np.inf, np.inf]
    for _ in range(3):
        began, clock = time.process_time(), time.perf_counter()
        call()  # type: ignore[operator]
        best = [min(best[0], time.process_time() - began), min(best[1], time.perf_counter() - clock)]
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--server")
    given = parser.parse_args()
    places = {"SQLite": None, **({"PostgreSQL": given.server} if given.server else {})}
    found: dict = {}
    for name, address in places.items():
        with Library.create(given.folder / name, address) as library:
            began = time.process_time()
            if len(library.catalogue.checksums()) != given.entries:
                fill(library, given.entries)
            print(f"{name}: {given.entries} entries, {time.process_time() - began:.0f} CPU s to fill", flush=True)
            found[name] = {question: shortest(call) for question, call in ask(library).items()}
            if address is not None:
                METADATA.drop_all(library.catalogue.engine)
    size = (given.folder / "SQLite" / "catalogue.sqlite").stat().st_size
    print(f"SQLite file {1e-9 * size:.2f} GB\n")
    print(f"{'':34s}" + "".join(f"{name + ' CPU s':>16s}{'clock s':>10s}" for name in found))
    for question in found["SQLite"]:
        times = "".join(f"{found[name][question][0]:16.3f}{found[name][question][1]:10.3f}" for name in found)
        print(f"{question:34s}{times}")


if __name__ == "__main__":
    main()
