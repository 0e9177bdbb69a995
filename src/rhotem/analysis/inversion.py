"""Whether an image shows columns the wrong way round: dark where they should be bright, light above heavy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.analysis.columns import Column, column_intensity, columns
from rhotem.microscope.detectors import Annular, CenterOfMass, DetectorBase, Enhanced, Mapped, Segmented
from rhotem.microscope.images import ImageSet

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.microscope.instrument import Microscope

Array = npt.NDArray[np.floating]

#: Part of the range of an image below which a difference says nothing; radius in Å of a column's surroundings.
LEAST, AROUND = 0.05, 0.8
#: Part of the aperture by which an annular detector must lie beside it to have a usual sign.
BESIDE = 0.05


def usual_signs(detectors: "tuple[DetectorBase, ...]", microscope: "Microscope") -> dict[str, int]:
    """How images show columns of thin specimens in focus: 1 bright, −1 dark; images without such a rule are left out.

    Dark field, iDPC, iCoM and dDPC show columns bright, bright field and ABF dark.
    """
    edge, found = microscope.convergence, {}
    for detector in detectors:
        if isinstance(detector, Annular | Mapped):
            if detector.inner >= edge * (1 - BESIDE):
                found[detector.name] = 1
            elif detector.outer <= edge * (1 + BESIDE):
                found[detector.name] = -1
        elif isinstance(detector, Enhanced):
            found[detector.name] = -1
        elif isinstance(detector, Segmented | CenterOfMass):
            names = [name for name in detector.image_names() if name.endswith(("iDPC", "dDPC", "iCoM"))]
            found |= dict.fromkeys(names, 1)
    return found


def inversions(
    images: Mapping[str, Array], extent: tuple[float, float], cut: "Specimen", signs: Mapping[str, int]
) -> dict[str, list[str]]:
    """What is the wrong way round in noise-free periodic images (nx, ny) of ``extent`` Å, in words, by image.

    The heaviest kind of column must not be the fainter one beside the lightest, and no kind may stand out from its
    surroundings the other way. Differences below `LEAST` of the range count for nothing.
    """
    kinds = _kinds(cut)
    found: dict[str, list[str]] = {}
    for name, sign in signs.items():
        if name not in images or len(kinds) == 0:
            continue
        said = _wrong(sign * images[name], extent, kinds, ("darker", "dark") if sign > 0 else ("brighter", "bright"))
        if said:
            found[name] = said
    return found


def _kinds(cut: "Specimen") -> list[list[Column]]:
    """Columns by their label, the lightest first."""
    from ase.data import atomic_numbers

    found: dict[str, list[Column]] = {}
    for column in columns(cut.cell):
        found.setdefault(column.label, []).append(column)

    def weight(label: str) -> float:
        mean = np.mean([atomic_numbers[element] for element in label.split("/")])
        return float(mean * np.mean([column.count for column in found[label]]))

    return [found[label] for label in sorted(found, key=weight)]


def _wrong(image: Array, extent: tuple[float, float], kinds: list[list[Column]], words: tuple[str, str]) -> list[str]:
    """What is wrong in an image whose columns should be bright; ``words`` for the other way."""
    least = LEAST * float(np.ptp(image))
    height = {kind[0].label: float(np.mean([column_intensity(image, extent, c) for c in kind])) for kind in kinds}
    light, heavy = kinds[0][0].label, kinds[-1][0].label
    said = []
    if height[light] - height[heavy] > least:
        said.append(f"{heavy} is {words[0]} than {light}")
    for kind in kinds:
        label = kind[0].label
        ring = np.mean([_around(image, extent, column) for column in kind])
        if ring - height[label] > least and not (said and label == heavy):
            said.append(f"{label} is {words[1]}")
    return said


def _around(image: Array, extent: tuple[float, float], column: Column) -> float:
    """Mean of a periodic image on a circle around a column: Fourier coefficients times J0(2π|k|r)."""
    from scipy.special import j0

    coefficients = np.fft.fft2(image) / image.size
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(image.shape, extent, strict=True))
    turn = np.exp(2j * np.pi * (kx[:, None] * column.position[0] + ky[None] * column.position[1]))
    ring = j0(2 * np.pi * AROUND * np.hypot(kx[:, None], ky[None]))
    return float((coefficients * ring * turn).sum().real)


def remarks(images: ImageSet, cut: "Specimen") -> list[str]:
    """Lines that warn of images that the focus inverts; none where counting noise leaves no clean image."""
    microscope = cut.preset.microscope
    noise_free = images.clean or ({} if microscope.dose is not None else images.images)
    if cut.preset.mode != "stem" or not noise_free or not images.scan.periodic:
        return []
    found = inversions(noise_free, images.scan.size, cut, usual_signs(cut.preset.detectors, microscope))
    focus, advice = f"defocus {0.1 * microscope.defocus:.3g} nm inverts", "finds the focus of largest contrast"
    return [f"{focus} {name}: {', '.join(said)}; --defocus best:{name} {advice}" for name, said in found.items()]
