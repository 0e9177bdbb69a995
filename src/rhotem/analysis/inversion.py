"""Whether an image shows columns the wrong way round: dark where they should be bright, light above heavy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.analysis.columns import Column, columns
from rhotem.microscope.detectors import Annular, CenterOfMass, DetectorBase, Enhanced, Mapped, Segmented
from rhotem.microscope.images import ImageSet

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.microscope.instrument import Microscope

Array = npt.NDArray[np.floating]

#: Part of the range of an image below which a difference says nothing; radii in Å of a column and its surroundings.
LEAST, WITHIN, AROUND = 0.05, 0.3, 0.8
#: Radius of the Airy disc in λ/α, and the part of the distance to the next column that it may fill.
AIRY, RESOLVED = 0.61, 0.6
#: Columns of one kind that are looked at; atoms of a cell and kinds of columns beyond which none are.
SHOWN, ATOMS, KINDS = 24, 5000, 8
#: Part of the aperture up to which a bright field is axial.
AXIAL = 0.25
#: Part of the aperture by which an annular detector must lie beside it to have a usual sign.
BESIDE = 0.05


def usual_signs(detectors: "tuple[DetectorBase, ...]", microscope: "Microscope") -> dict[str, int]:
    """How images show columns of thin specimens in focus: 1 bright, −1 dark; images without such a rule are left out.

    Dark field, iDPC, iCoM and dDPC show columns bright, ABF dark. An axial bright field has phase contrast of either
    sign.
    """
    edge, found = microscope.convergence, {}
    for detector in detectors:
        if isinstance(detector, Annular | Mapped):
            if detector.inner >= edge * (1 - BESIDE):
                found[detector.name] = 1
            elif detector.outer <= edge * (1 + BESIDE) and detector.inner >= AXIAL * edge:
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

    The heaviest kind of column must not be the fainter one beside the lightest, and no kind that the probe resolves may
    stand out from its surroundings the other way. Differences below `LEAST` of the range count for nothing.
    """
    kinds, lens = _kinds(cut), cut.preset.microscope
    apart = max(AROUND + WITHIN, AIRY * lens.wavelength / (RESOLVED * 1e-3 * lens.convergence))
    lonely = [kind[0].label for kind in kinds if _nearest(kind[0], kinds, extent) > apart]
    found: dict[str, list[str]] = {}
    for name, sign in signs.items():
        if name not in images or len(kinds) == 0:
            continue
        words = ("darker", "dark") if sign > 0 else ("brighter", "bright")
        said = _wrong(_Series(sign * images[name], extent), kinds, lonely, words)
        if said:
            found[name] = said
    return found


def _kinds(cut: "Specimen") -> list[list[Column]]:
    """Columns by their label, the lightest first; none where there are too many atoms or kinds to be columns."""
    from ase.data import atomic_numbers

    if len(cut.cell.structure.atoms) > ATOMS:
        return []
    found: dict[str, list[Column]] = {}
    for column in columns(cut.cell):
        found.setdefault(column.label, []).append(column)
    if len(found) > KINDS:
        return []

    def weight(label: str) -> float:
        mean = np.mean([atomic_numbers[element] for element in label.split("/")])
        return float(mean * np.mean([column.count for column in found[label]]))

    return [found[label] for label in sorted(found, key=weight)]


def _wrong(values: "_Series", kinds: list[list[Column]], lonely: list[str], words: tuple[str, str]) -> list[str]:
    """What is wrong in an image whose columns should be bright; ``words`` for the other way.

    Only kinds that are ``lonely`` are compared with their surroundings.
    """
    least = LEAST * values.range
    shown = [kind[:: -(-len(kind) // SHOWN)] for kind in kinds]
    height = {kind[0].label: float(np.mean([values(c, WITHIN)[0] for c in kind])) for kind in shown}
    light, heavy = kinds[0][0].label, kinds[-1][0].label
    said = []
    if height[light] - height[heavy] > least:
        said.append(f"{heavy} is {words[0]} than {light}")
    for kind in shown:
        label = kind[0].label
        if (said and label == heavy) or label not in lonely:
            continue
        if float(np.mean([values(c, AROUND)[1] for c in kind])) - height[label] > least:
            said.append(f"{label} is {words[1]}")
    return said


def _nearest(column: Column, kinds: list[list[Column]], extent: tuple[float, float]) -> float:
    """Distance in Å to the nearest other column; infinite where there is none."""
    size = np.array(extent)
    others = np.array([c.position for kind in kinds for c in kind if c is not column]).reshape(-1, 2)
    offset = (others - column.position + size / 2) % size - size / 2
    return float(np.hypot(*offset.T).min(initial=np.inf))


class _Series:
    """The Fourier series of a periodic image, exact between pixels."""

    def __init__(self, image: Array, extent: tuple[float, float]) -> None:
        self.range = float(np.ptp(image))
        self.coefficients = np.fft.fft2(image) / image.size
        kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(image.shape, extent, strict=True))
        self.kx, self.ky = kx[:, None], ky[None]
        self.k = np.hypot(self.kx, self.ky)

    def __call__(self, column: Column, radius: float) -> tuple[float, float]:
        """Means over a disc of ``radius`` Å around a column and over its edge: 2 J1(x)/x and J0(x), x = 2π|k|r."""
        from scipy.special import j0, j1

        x = 2 * np.pi * radius * self.k
        disc = np.where(x > 0, 2 * j1(x) / np.where(x > 0, x, 1), 1.0)
        here = self.coefficients * np.exp(2j * np.pi * (self.kx * column.position[0] + self.ky * column.position[1]))
        return float((here * disc).sum().real), float((here * j0(x)).sum().real)


def remarks(images: ImageSet, cut: "Specimen") -> list[str]:
    """Lines that warn of images that the focus inverts; none where counting noise leaves no clean image."""
    microscope = cut.preset.microscope
    noise_free = images.clean or ({} if microscope.dose is not None else images.images)
    if cut.preset.mode != "stem" or not noise_free or not images.scan.periodic:
        return []
    found = inversions(noise_free, images.scan.size, cut, usual_signs(cut.preset.detectors, microscope))
    focus, advice = f"defocus {0.1 * microscope.defocus:.3g} nm inverts", "finds the focus of largest contrast"
    return [f"{focus} {name}: {', '.join(said)}; --defocus best:{name} {advice}" for name, said in found.items()]
