"""One entry of a library: what the catalogue says of a response."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A response with what it was made from.

    Parameters
    ----------
    id : str
        Twenty hexadecimal digits of the SHA-256 of everything that decides the response.
    title : str
        Name of the structure, as the campaign has it.
    formula : str
        Reduced, as battery chemists write it: LiCoO2.
    elements : tuple of str
        Sorted.
    zone : str
        Direction towards the source, "[100]".
    thicknesses : tuple of float
        nm.
    preset, source : str
        Of the microscope and of the density.
    energy, convergence : float
        keV; largest semi-angle in mrad.
    temperature : float or None
        K; None: atoms at rest.
    spacegroup : int
        Number of the crystal's.
    prototype : str
        Anonymous formula and space group: "ABC2 166".
    defect : str
        What its builder did ("vacancy Li 5%"); "": nothing.
    atoms : int
        In the crystal's cell.
    seconds : float
        Processor time that it took.
    bytes : int
        Of its files.
    state : "good" or "damaged"
        As far as was looked.
    path : Path
        Folder of the response (`rhotem.scattering.response.open_response`).
    """

    id: str
    title: str
    formula: str
    elements: tuple[str, ...]
    zone: str
    thicknesses: tuple[float, ...]
    preset: str
    source: str
    energy: float
    convergence: float
    temperature: float | None
    spacegroup: int
    prototype: str
    defect: str
    atoms: int
    seconds: float
    bytes: int
    state: str
    path: Path

    @property
    def thumbnail(self) -> Path:
        """Picture of its images at the largest thickness."""
        from rhotem.library.layout import THUMBNAIL

        return self.path.parent / THUMBNAIL

    def __str__(self) -> str:
        deep = ", ".join(f"{t:.3g}" for t in self.thicknesses)
        return f"{self.id}  {self.title}  {self.formula} {self.zone}, {deep} nm, {self.source}"
