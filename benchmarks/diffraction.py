"""Electron diffraction with frozen phonons against abTEM: which spots are there, and how strong they are.

    python benchmarks/diffraction.py                    # table for SrTiO3, Li2MnO3 and LiMn2O4
    python benchmarks/diffraction.py --cases SrTiO3 --phonons 8 --reference 40

Three questions to every crystal, 20 nm at 200 kV:

- *same*: abTEM's multislice through the same slices (`abtem.PotentialArray`), elastic intensities by pairs of different
  configurations. How far is every listed spot off?
- *own*: abTEM's own potential (Lobato's table, infinite projection) of the same displaced atoms, against ours from the
  same table; three configurations. abTEM interpolates between pixels, which damps it by 10 % at 2.5/Å on this grid, so
  it is made four times finer and cut to the same band.
- *reference*: other displacements, many more of them, through abTEM, averaged over the mirrors of the picture. Which
  listed spots does it not have at four standard deviations, which spots above the stated limit are missing, and how far
  off are listed ones, in standard deviations?
"""

import argparse
from collections.abc import Iterable

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.specimen import Specimen
from rhotem.microscope.images import ImageSet
from rhotem.microscope.phonons import displacements
from rhotem.microscope.scan import fourier_resample
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.debye_waller import mean_square_displacements

#: Crystal and zone axis. Li2MnO3 and LiMn2O4 have superlattice spots: of the honeycomb, and of the ordered octahedra.
CASES = {"SrTiO3": (0, 0, 1), "Li2MnO3": (1, 0, 0), "LiMn2O4": (1, 1, 0)}


#: How many times finer abTEM's own potential is made, and of how many configurations.
FINER, OWN = 4, 3


def exit_waves(potentials: Iterable, energy: float) -> np.ndarray:
    """Fourier coefficients of abTEM's exit waves, (configurations, nx, ny), of abTEM potentials."""
    import abtem

    found = []
    for potential in potentials:
        wave = abtem.PlaneWave(energy=energy).multislice(potential, lazy=False).array
        found.append(np.fft.fft2(np.asarray(wave)) / wave.size)
    return np.stack(found)


def as_abtem(slices: PotentialSlices):
    """The same slices for abTEM."""
    import abtem

    return abtem.PotentialArray(slices.array, slice_thickness=slices.thickness, extent=slices.extent)


def own_potential(atoms, slices: PotentialSlices):
    """abTEM's own potential of displaced atoms, made on a fine grid and cut to the same band."""
    import abtem

    shape = slices.grid.shape[:2]
    fine = (FINER * shape[0], FINER * shape[1])
    made = abtem.Potential(
        atoms, gpts=fine, slice_thickness=slices.thickness, parametrization="lobato", projection="infinite"
    ).build(lazy=False)
    array = np.stack([fourier_resample(np.asarray(one), shape) for one in made.array]).astype(np.float32)
    return abtem.PotentialArray(array, slice_thickness=slices.thickness, extent=slices.extent)


def elastic(waves: np.ndarray, repeats: tuple[int, int], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of ψ_c ψ*_c' over pairs c ≠ c' at the cell's reciprocal vectors, centred, and its jackknife error."""
    waves = waves[:, :: repeats[0], :: repeats[1]]
    n = len(waves)

    def of(sum1, sum2, number):
        return (np.abs(sum1) ** 2 - sum2) / (number * (number - 1))

    total, square = waves.sum(axis=0), (np.abs(waves) ** 2).sum(axis=0)
    without = np.stack([of(total - w, square - np.abs(w) ** 2, n - 1) for w in waves])
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return tuple(_centred(x, shape) for x in (of(total, square, n), error))


def _centred(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    shifted = np.fft.fftshift(values)
    return shifted[tuple(slice(1 - n % 2, None) for n in values.shape)].reshape(shape)


def listed(images: ImageSet, angle: float = 60.0) -> np.ndarray:
    """Whether a reciprocal vector of the cell is listed as a spot."""
    found = np.zeros(images.diffraction.shape, dtype=bool)
    centre = np.array(found.shape) // 2
    for row in images.plane_wave.spots():
        found[row["i"] + centre[0], row["j"] + centre[1]] = row["angle_mrad"] <= angle
    return found


def lobato(cut: Specimen, phonons: int, seed: int) -> Iterable[tuple[object, PotentialSlices]]:
    """Displaced atoms, and their potential from Lobato's table."""
    msd, _ = mean_square_displacements(cut.block.structure, 300.0)
    for moved in displacements(msd, phonons, np.random.default_rng(seed)):
        atoms = cut.block.structure.atoms.copy()
        atoms.positions += moved
        atoms.wrap()
        yield atoms, build_potential(cut.block, cut.grid, parametrization="lobato", displacements=moved)


def mirrored(values: np.ndarray) -> np.ndarray:
    """Mean over the two mirrors of a rectangular projection."""
    values = (values + values[::-1]) / 2
    return (values + values[:, ::-1]) / 2


def worst(ours: np.ndarray, theirs: np.ndarray, spots: np.ndarray) -> tuple[float, float]:
    """Largest relative difference of spots, and that of all spots together (R factor of intensities), per cent."""
    ours, theirs = ours[spots], theirs[spots]
    return 100 * float(np.abs(ours / theirs - 1).max()), 100 * float(np.abs(ours - theirs).sum() / theirs.sum())


def own_table(cut: Specimen, energy: float, phonons: int) -> None:
    """Print how far spots are off where abTEM makes the potential."""
    atoms, slices = zip(*lobato(cut, phonons, 0), strict=True)
    table = run.image(cut, slices)
    made = (own_potential(a, s) for a, s in zip(atoms, slices, strict=True))
    own, _ = elastic(exit_waves(made, energy), cut.repeats[:2], table.diffraction.shape)
    strong = listed(table)
    largest, together = worst(table.diffraction, own, strong)
    above, _ = worst(table.diffraction, own, strong & (own > 1e-3))
    print(f"own potential: largest difference of a spot {largest:.2f} %, all spots {together:.3f} %")
    print(f"  above 1e-3 of the beam: largest {above:.2f} %")


def compare(name: str, phonons: int, reference: int, with_own: bool) -> None:
    """Print what a crystal shows."""
    cut = run.specimen(run.structure(name), CASES[name], preset="saed")
    energy, repeats = cut.preset.microscope.energy, cut.repeats[:2]
    field = run.density(cut, "free-atoms")
    potentials = list(run.potential(cut, field, phonons=phonons))
    images = run.image(cut, potentials)
    spots, pattern, shape = listed(images), images.plane_wave, images.diffraction.shape
    print(f"\n{cut}\n{images}")
    waves = exit_waves((as_abtem(v) for v in potentials), energy)
    same, _ = elastic(waves, repeats, shape)
    total = float((np.abs(waves) ** 2).sum() / len(waves))
    print(
        "same slices: largest difference of a spot {:.3f} %, all spots {:.4f} %".format(
            *worst(pattern.elastic, same, spots)
        ),
        f"\n  elastic {100 * same.sum():.3f} % of the beam, diffuse {100 * (total - same.sum()):.3f} %",
    )
    if with_own:
        own_table(cut, energy, phonons=OWN)
    many = run.potential(cut, field, phonons=reference, seed=12345)
    true, error = elastic(exit_waves((as_abtem(v) for v in many), energy), repeats, shape)
    true, error = mirrored(true), mirrored(error) / 2  # four values where none lies on a mirror
    axes = (np.arange(shape[0]) == shape[0] // 2)[:, None] ^ (np.arange(shape[1]) == shape[1] // 2)[None]
    error = np.where(axes, np.sqrt(2) * error, error)
    false = spots & (true < 4 * error)
    kx, ky = (step * (np.arange(n) - n // 2) for n, step in zip(shape, images.angular_step, strict=True))
    visible = (true > pattern.certain_above + 3 * np.hypot(error, pattern.error)) & (
        np.hypot(kx[:, None], ky[None]) <= 60
    )
    pull = ((pattern.elastic - true) / np.hypot(error, pattern.error))[spots]
    print(
        f"reference of {reference} configurations: {int(spots.sum())} spots, {int(false.sum())} not there; "
        f"{int(visible.sum())} above the limit, {int((visible & ~spots).sum())} missing\n"
        f"  difference in standard deviations: rms {np.sqrt(np.mean(pull**2)):.2f}, largest {np.abs(pull).max():.1f}; "
        f"relative, spots above 1 %: {worst(pattern.elastic, true, spots & (true > 1e-2))[0]:.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--phonons", type=int, default=8)
    parser.add_argument("--reference", type=int, default=40)
    parser.add_argument("--no-own", action="store_true", help="leave out abTEM's own potentials: they take longest")
    given = parser.parse_args()
    for name in given.cases:
        compare(name, given.phonons, given.reference, not given.no_own)


if __name__ == "__main__":
    main()
