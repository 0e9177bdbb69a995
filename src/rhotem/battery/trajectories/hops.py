"""Hops of ions between sites: an ion belongs to a site until it comes close to another one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.diffusion import CM2_PER_S
from rhotem.battery.trajectories.model import Trajectory
from rhotem.battery.trajectories.sites import Sites
from rhotem.core import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Radius of a site as a share of the least distance of two: an ion that comes so near belongs to it from then on.
CORE = 0.35


@dataclass(frozen=True, eq=False)
class Hops:
    """Hops of the atoms of an element.

    Parameters
    ----------
    sites : Sites
    site : (F, A) int array
        Site of every atom in every frame, the last that it was close to; −1 before the first.
    frame, atom, origin, target : (H,) int arrays
        First frame at the new site, atom (index in the trajectory), and both sites.
    vector : (H, 3) array
        From site to site, by the way that the atom took, Å.
    atoms : (A,) int array
        Indices of the atoms in the trajectory.
    duration : float
        Time of the whole in fs.
    """

    sites: Sites
    site: Ints
    frame: Ints
    atom: Ints
    origin: Ints
    target: Ints
    vector: Floats
    atoms: Ints
    duration: float

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def occupancy(self) -> Floats:
        """Share of the time that every site is taken, (S,)."""
        held = self.site[self.site >= 0]
        return np.bincount(held, minlength=len(self.sites)) / len(self.site)

    @property
    def rate(self) -> tuple[float, float]:
        """Hops of an atom in a nanosecond, and the standard error by the number counted."""
        time = len(self.atoms) * self.duration * 1e-6
        return len(self) / time, float(np.sqrt(max(len(self), 1))) / time

    @property
    def jump_diffusion(self) -> tuple[float, float]:
        """Σ l² / 6 N t in cm²/s and its standard error: D if hops did not know of each other.

        D of the MSD over it is the correlation factor.
        """
        squares = (self.vector**2).sum(axis=1)
        scale = CM2_PER_S / (6.0 * len(self.atoms) * self.duration)
        return float(squares.sum()) * scale, float(np.sqrt((squares**2).sum())) * scale

    @property
    def returns(self) -> float:
        """Share of hops that are undone by the next hop of the same atom."""
        back = [
            (self.target[mine][1:] == self.origin[mine][:-1]).sum()
            for one in np.unique(self.atom)
            if len(mine := np.flatnonzero(self.atom == one)) > 1
        ]
        return float(sum(back)) / len(self) if len(self) else 0.0

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "element": self.sites.element,
            "sites": len(self.sites),
            "hops": len(self),
            "hops_per_atom_per_ns": list(self.rate),
            "jump_diffusion_cm2_per_s": list(self.jump_diffusion),
            "returns": self.returns,
            "mean_occupancy": float(self.occupancy.mean()),
        }

    def rows(self, times: Floats) -> list[dict[str, Any]]:
        """The hops as a table, in the order in which they happen; ``times``: of the frames, fs."""
        order = np.argsort(self.frame, kind="stable")
        return [
            {
                "time_fs": float(times[self.frame[i]]),
                "frame": int(self.frame[i]) + 1,
                "atom": int(self.atom[i]) + 1,
                "from": int(self.origin[i]) + 1,
                "to": int(self.target[i]) + 1,
                "length_A": float(np.linalg.norm(self.vector[i])),
            }
            for i in order
        ]


def find_hops(trajectory: Trajectory, sites: Sites, core: float = CORE) -> Hops:
    """Hops between sites.

    An atom belongs to the site within whose core, ``core`` times the least distance of two sites, it was last: leaving
    one and coming back is no hop, nor is a swing across the border.

    Raises
    ------
    InputError
        If times are not known, the core is not between 0 and a half, or sites lie upon each other.
    """
    if not 0 < core < 0.5:
        raise InputError(f"hops: a core of {core} of the distance of two sites; expected between 0 and 0.5")
    radius, duration = core * sites.nearest, trajectory.step * (len(trajectory) - 1)
    if radius < 0.1:
        raise InputError(f"hops: sites {sites.nearest:.2f} Å apart; the reference has two atoms on one place")
    chosen = trajectory.atoms_of(sites.element)
    inverse = np.linalg.inv(trajectory.mean_cell)
    places = trajectory.paths()[:, chosen] @ inverse
    site = np.empty(places.shape[:2], dtype=np.int64)
    near = np.empty(places.shape)
    held = np.full(len(chosen), -1, dtype=np.int64)
    for number, frame in enumerate(places):
        vectors = sites.vectors(frame)
        distance = np.linalg.norm(vectors, axis=2)
        nearest = distance.argmin(axis=1)
        inside = distance[np.arange(len(chosen)), nearest] < radius
        held = np.where(inside, nearest, held)
        site[number] = held
        near[number] = frame @ sites.cell - vectors[np.arange(len(chosen)), np.maximum(held, 0)]
    frame, which = np.nonzero((site[1:] != site[:-1]) & (site[:-1] >= 0))
    frame = frame + 1
    return Hops(
        sites,
        site,
        frame,
        chosen[which],
        site[frame - 1, which],
        site[frame, which],
        near[frame, which] - near[frame - 1, which],
        chosen,
        duration,
    )
