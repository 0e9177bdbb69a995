"""How often a library finds the phase and zone of a picture, and refuses foreign ones.

    python benchmarks/picture_search.py LIBRARY [--number 60] [--all-power]

``--all-power`` leaves noise in, as before peaks were told from it. "Own image": likeness of a picture to the image that
it was made of.

Pictures are of entries at thicknesses and foci of their responses, 51 Å wide with pixels of 0.2 Å, turned at random,
stated scale wrong by up to 3 %, sheared by up to 1 % (drift), rows jittered by 0.1 Å, a source of 0.6 to 1 Å FWHM,
counted at 1e3 to 1e5 e/Å². Foreign ones are noise, amorphous films, blobs, edges, fringes, and lattices of one to
three Gaussian columns in cells of 2.5 to 8 Å. "Its like": an entry among the first five whose mean appearance is that
of the true one within 0.985, as of LiCoO2, LiNiO2 and NMC, or of directions that symmetry makes equal.
"Refused as noise": nothing stands out of the noise, no entry is named.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from sqlalchemy import select

from rhotem.experiment.measurement import Axis, Measurement
from rhotem.library import appearance as looks
from rhotem.library.appearance import Harmonics, from_bytes, likenesses, of_image, of_picture
from rhotem.library.catalogue.tables import appearances
from rhotem.library.search.picture import by_picture
from rhotem.library.store import Library

SIZE, PIXEL = 256, 0.2
#: Likeness of two entries from which they cannot be told apart by a picture.
ALIKE = 0.985
Picture = npt.NDArray[np.float64]


def appearance(library: Library, entry: str, image: str) -> Harmonics:
    t = appearances.c
    with library.catalogue.begin() as connection:
        asked = select(t.harmonics).where(t.entry == entry, t.image == image)
        return from_bytes(connection.execute(asked).scalar_one())


def measured(picture: Picture) -> Measurement:
    return Measurement(picture, "image", (Axis("y", "Å", PIXEL), Axis("x", "Å", PIXEL)))


def recorded(image: Picture, extent: tuple[float, float], dose: float, rng: np.random.Generator) -> Picture:
    """What a scan gives of a periodic image, by its Fourier series."""
    down, right = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    scale, shear = PIXEL * (1 + rng.uniform(-0.03, 0.03)), rng.uniform(-0.01, 0.01)
    x = scale * (right + shear * down) + 0.1 * rng.normal(size=(SIZE, 1)) + rng.uniform(0, 10)
    y = scale * down + rng.uniform(0, 10)
    turn, source = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.0) / 2.355
    u, v = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(image.shape, extent, strict=True))
    series = np.fft.fft2(image) / image.size * np.exp(-2 * (np.pi * source) ** 2 * (kx[:, None] ** 2 + ky**2))
    ex, ey = (np.exp(2j * np.pi * place.reshape(-1, 1) * k) for place, k in ((u, kx), (v, ky)))
    value = (ex @ series * ey).sum(axis=1).real.reshape(SIZE, SIZE)
    return rng.poisson(np.maximum(value, 0) * dose * PIXEL**2).astype(float)


def foreign(rng: np.random.Generator) -> Iterator[tuple[str, Picture]]:
    """One picture of every kind."""
    y, x = PIXEL * np.mgrid[:SIZE, :SIZE]
    yield "noise", rng.poisson(4.0, (SIZE, SIZE)).astype(float)
    atoms = np.zeros((SIZE, SIZE))
    places: list[Picture] = []
    for place in rng.uniform(0, SIZE, (4000, 2)):
        if all(np.hypot(*(place - other)) > 2.2 / PIXEL for other in places):
            places.append(place)
            atoms[tuple(place.astype(int))] = 1.0
    yield "amorphous", rng.poisson(5 + 100 * gaussian_filter(atoms, 0.5 / PIXEL)).astype(float)
    yield "blobs", gaussian_filter(rng.normal(size=(SIZE, SIZE)), rng.uniform(3, 12))
    edges = np.zeros((SIZE, SIZE))
    for _ in range(12):
        turn, at = rng.uniform(0, 2 * np.pi), rng.uniform(0, 51, 2)
        edges += rng.random() * ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn) > 0)
    yield "edges", edges + 0.02 * rng.normal(size=(SIZE, SIZE))
    turn, period = rng.uniform(0, np.pi), rng.uniform(1.8, 6)
    waves = np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / period)
    yield "fringes", rng.poisson(20 * (1.2 + waves)).astype(float)
    turn, angle, (a, b) = rng.uniform(0, np.pi), np.deg2rad(rng.uniform(60, 120)), rng.uniform(2.5, 8, 2)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    cell = np.array([[a, 0], [b * np.cos(angle), b * np.sin(angle)]]) @ turned
    columns = np.zeros((SIZE, SIZE))
    for _ in range(rng.integers(1, 4)):
        apart = np.stack([x, y], -1) @ np.linalg.inv(cell) - rng.uniform(0, 1, 2)
        columns += rng.uniform(0.3, 1) * np.exp(-(((apart - np.round(apart)) @ cell) ** 2).sum(-1) / 0.4)
    yield "lattice", rng.poisson(50 * columns + 10).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--all-power", action="store_true")
    given = parser.parse_args()
    if given.all_power:
        looks.CERTAIN = np.inf
    rng = np.random.default_rng(0)
    with Library.open(given.library) as library:
        entries = library.entries()
        print(f"{len(entries)} entries", flush=True)
        began, seen = time.process_time(), []
        for dose in (1e3, 1e4, 1e5):
            for _ in range(given.number // 3):
                entry = entries[rng.integers(len(entries))]
                held = library.response(entry.id)
                focus = rng.uniform(*held.range.defocus)
                images = held.images(thickness=held.thicknesses[rng.integers(len(held.thicknesses))], defocus=focus)
                name = str(rng.choice(sorted(images.images)))
                picture = recorded(images.images[name], held.extent, dose, rng)
                matches = by_picture(library, measured(picture), [name])
                top = [(m.entry.title, m.entry.zone) for m in matches.nearest]
                place = top.index((entry.title, entry.zone)) + 1 if (entry.title, entry.zone) in top else 0
                mine = appearance(library, entry.id, name)
                twins = [likenesses(mine, appearance(library, m.entry.id, name)[None])[0] for m in matches.nearest]
                kin = any(twin.score >= ALIKE for twin in twins)
                true = of_image(images.images[name], held.extent)
                own = likenesses(of_picture(picture, (PIXEL, PIXEL)), true[None])[0].score
                seen.append((dose, place, bool(matches.found), kin, own, matches.noisy))
                if place != 1:
                    said = f"place {place}, best {matches.nearest[0].likeness.score:.2f}"
                    print(f"  {dose:g} e/Å² {entry.title} {entry.zone} {name}: {said}", *top[:2])
        for dose in (1e3, 1e4, 1e5):
            rows = [row for row in seen if row[0] == dose]
            first, five = (np.mean([0 < row[1] <= n for row in rows]) for n in (1, 5))
            sure, kin = (np.mean([row[i] for row in rows]) for i in (2, 3))
            said = f"first {100 * first:.0f} %, top five {100 * five:.0f} %, or its like {100 * kin:.0f} %"
            clear = [row[3] for row in rows if not row[5]]
            said += f", {len(rows) - len(clear)} refused as noise, its like {100 * np.mean(clear):.0f} % of the others"
            said += f", like enough {100 * sure:.0f} %, own image {np.mean([row[4] for row in rows]):.3f}"
            print(f"{dose:g} e/Å²: {said} of {len(rows)}", flush=True)
        refused: dict[str, list[bool]] = {}
        for _ in range(given.number // 6):
            for kind, picture in foreign(rng):
                matches = by_picture(library, measured(picture))
                refused.setdefault(kind, []).append(not matches.found)
                for one in matches.found[:1]:
                    said = f"{one.entry.title} {one.entry.zone} {one.likeness.score:.3f}, others {one.others:.2f}"
                    print(f"  {kind}: {said}, fringes {matches.fringes}")
        for kind, rows in refused.items():
            print(f"{kind}: {100 * np.mean(rows):.0f} % of {len(rows)} refused")
        print(f"all: {100 * np.mean([r for rows in refused.values() for r in rows]):.0f} % refused")
        print(f"{time.process_time() - began:.0f} CPU s in all")


if __name__ == "__main__":
    main()
