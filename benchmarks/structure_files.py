"""CIFs of a public collection: composition, Z and density as RhoTEM reads them, against the file, pymatgen and ASE.

Any folder of CIFs will do. Those of docs/structures.md are what packages of registries ship: the tests of COD's
cod-tools 3.11.0 (Debian's source; many are broken on purpose, and 541 hold no structure), the zeolites and minerals of
RASPA2, the structures of cif2cell, crystals, Dans_Diffraction and pyxtal, the tests of ASE:

    apt-get source --download-only cod-tools      # deb-src of trixie
    pip download --no-deps RASPA2==2.0.4 cif2cell==2.1.0 crystals==1.7.0 dans-diffraction==3.4.0 pyxtal==1.1.5
    # unpack each into a folder of its own under cifs/, copy site-packages/ase/test/testdata there, too
    python benchmarks/structure_files.py cifs --list disagreements.txt

Every disagreement is listed with what each reader finds, every refusal with its reason.
"""

import argparse
import re
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

#: Share of electrons by which compositions may differ, and share of densities.
SAME, SAME_DENSITY = 0.02, 0.03
SECONDS = 10
U_PER_A3 = 1.66053907

#: Words in an error -> why a file is refused.
REASONS = (
    ("has no table of atoms|Cartesian coordinates only|no data block|has no cell|has no atoms", "no structure in it"),
    ("no valid CIF|no CIF|content is no|is empty|does not end|belongs to no tag", "no CIF"),
    ("values for the|no multiple of|is no number|expected a number|stands twice", "a row or value is wrong"),
    ("has no element|is a mixture", "an atom has no element"),
    ("has no coordinates", "an atom has no coordinates"),
    ("no group|is no symmetry|has not the symmetry|is no space group|no simple fraction|without its", "symmetry"),
    ("origin or setting", "origin not stated"),
    ("at one place|occupancy", "occupancies"),
    ("the formula says", "composition is not the stated one"),
    ("formula units", "Z is not the stated one"),
    ("the file says", "density is not the stated one"),
)

Amounts = dict[str, float]


def ours(path: Path) -> tuple[Amounts, float]:
    from rhotem.structure.read.formats import read_contents
    from rhotem.structure.read.sites import merged

    contents = read_contents(path)
    amounts: Amounts = {}
    for kinds in merged(contents, path.name).occupants:
        for symbol, share in kinds.items():
            amounts[symbol] = amounts.get(symbol, 0.0) + share
    return amounts, float(abs(np.linalg.det(contents.cell)))


def by_pymatgen(path: Path) -> tuple[Amounts, float]:
    from pymatgen.io.cif import CifParser

    structure = CifParser(str(path), occupancy_tolerance=1.05, check_cif=False).parse_structures(primitive=False)[0]
    amounts: Amounts = {}
    for kind, share in structure.composition.items():
        symbol = {"D": "H", "T": "H"}.get(kind.symbol, kind.symbol)
        amounts[symbol] = amounts.get(symbol, 0.0) + float(share)
    return amounts, float(structure.volume)


def by_ase(path: Path) -> tuple[Amounts, float]:
    import ase.io

    atoms = ase.io.read(path, format="cif", index=0)
    table, kinds = atoms.info.get("occupancy"), atoms.arrays.get("spacegroup_kinds")
    amounts: Amounts = {}
    for n, own in enumerate(atoms.symbols):
        shares = table[str(kinds[n])] if table is not None and kinds is not None else {own: 1.0}
        for kind, share in shares.items():
            symbol = {"D": "H", "T": "H"}.get(kind, kind)
            amounts[symbol] = amounts.get(symbol, 0.0) + float(share)
    return amounts, float(atoms.get_volume())


def tried(reader, path: Path) -> tuple[tuple[Amounts, float] | None, str]:
    """A reading, or why there is none."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader(path), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        signal.alarm(0)


def electrons(amounts: Amounts) -> float:
    from ase.data import atomic_numbers

    return sum(atomic_numbers[symbol] * n for symbol, n in amounts.items())


def same(one: Amounts, two: Amounts, hydrogen: bool = True) -> bool:
    """Whether two compositions of a cell agree, with or without their hydrogens."""
    one, two = ({s: n for s, n in amounts.items() if hydrogen or s != "H"} for amounts in (one, two))
    off = electrons({s: abs(one.get(s, 0.0) - two.get(s, 0.0)) for s in {*one, *two}})
    return off <= SAME * max(electrons(two), 1e-9)


def stated(path: Path) -> tuple[Amounts, float, float]:
    """Sum formula, Z and density of the block with the atoms, by regular expressions alone."""
    from ase.data import atomic_numbers

    raw = path.read_bytes().decode("utf-8", errors="replace")
    parts = re.split(r"(?im)^data_", raw)
    text = next((p for p in parts if re.search(r"(?i)_atom_site_fract_x", p) and "_cell_length_a" in p.lower()), raw)

    def number(tag: str) -> float:
        found = re.search(rf"(?im)^\s*{re.escape(tag)}\s+'?([0-9.]+)", text)
        return float(found[1]) if found and found[1].strip(".") else 0.0

    found = re.search(r"(?im)^\s*_chemical_formula_sum\s+(?:'([^'\n]*)'|\"([^\"\n]*)\"|;([^;]*);|(\S+))", text)
    formula: Amounts = {}
    for symbol, count in re.findall(
        r"([A-Z][a-z]?)\s*([0-9.]*)", next(filter(None, found.groups()), "") if found else ""
    ):
        symbol = {"D": "H", "T": "H"}.get(symbol, symbol)
        if symbol not in atomic_numbers or count == ".":
            return {}, 0.0, number("_exptl_crystal_density_diffrn")
        formula[symbol] = formula.get(symbol, 0.0) + float(count or 1)
    return formula, number("_cell_formula_units_Z"), number("_exptl_crystal_density_diffrn")


def mass(amounts: Amounts) -> float:
    from ase.data import atomic_masses, atomic_numbers

    return sum(atomic_masses[atomic_numbers[symbol]] * n for symbol, n in amounts.items())


def written(reading: tuple[Amounts, float] | None) -> str:
    if reading is None:
        return "none"
    return "".join(f"{s}{n:.4g} " for s, n in sorted(reading[0].items())).strip()


def compared(path: Path, name: str, lines: list[str], counts: Counter) -> None:
    """One file: into the counts, and into the list where anything differs."""
    mine, why = tried(ours, path)
    others = {"pymatgen": tried(by_pymatgen, path)[0], "ASE": tried(by_ase, path)[0]}
    formula, z, density = stated(path)
    if mine is None:
        reason = next((said for words, said in REASONS if re.search(words, why)), "other")
        counts[f"refused: {reason}"] += 1
        defect = "" if why.startswith("InputError") else "  DEFECT"
        lines.append(f"refused  {name}: {why}{defect}")
        lines += [f"    {who} reads {written(reading)}" for who, reading in others.items() if reading is not None]
        return
    counts["read"] += 1
    differing = []
    if formula and z:
        whole = {symbol: n * z for symbol, n in formula.items()}
        without = not same(mine[0], whole) and same(mine[0], whole, hydrogen=False)
        agrees = same(mine[0], whole) or without
        counts["formula and Z: " + ("agrees" if agrees else "differs")] += 1
        counts["formula and Z: agrees without H"] += without
        if not agrees:
            differing.append(f"file says {z:g} x {written((formula, 0))}")
    if density:
        missing = {"H": max(formula.get("H", 0.0) * z - mine[0].get("H", 0.0), 0.0)} if formula and z else {}
        own = (mass(mine[0]) + mass(missing)) / mine[1] * U_PER_A3
        agrees = abs(own / density - 1) < SAME_DENSITY
        counts["density: " + ("agrees" if agrees else "differs")] += 1
        if not agrees:
            differing.append(f"density {own:.3f}, file says {density:g}")
    for who, reading in others.items():
        if reading is None:
            counts[f"{who}: reads nothing"] += 1
            continue
        agrees = same(mine[0], reading[0])
        counts[f"{who}: " + ("agrees" if agrees else "differs")] += 1
        if not agrees:
            differing.append(f"{who} reads {written(reading)}")
    if differing:
        lines += [f"differs  {name}: {written(mine)}", *(f"    {line}" for line in differing)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", type=Path, help="File for disagreements and refusals; without it they are printed.")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.cif"))
    lines: list[str] = []
    counts: Counter = Counter(files=len(paths))
    for n, path in enumerate(paths):
        print(f"\r{n + 1} of {len(paths)}", end="", file=sys.stderr, flush=True)
        compared(path, str(path.relative_to(options.folder)), lines, counts)
    print(file=sys.stderr)
    for key, value in sorted(counts.items()):
        print(f"{key:50s} {value:6d}")
    if options.list:
        options.list.write_text("\n".join(lines) + "\n")
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
