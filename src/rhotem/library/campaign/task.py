"""One task of a campaign: a specimen and what is kept of it, known by a hash of everything that decides it."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rhotem.core import InputError

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan


@dataclass(frozen=True)
class Recipe:
    """How a builder makes the structure of a task.

    Parameters
    ----------
    builder : str
        Of `rhotem.battery.builders`.
    crystals : tuple of str
        Its arguments: files or ready phases.
    options : dict
    seed : int
    relax : bool
    """

    builder: str
    crystals: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    relax: bool = False

    def __str__(self) -> str:
        said = " ".join(f"{value}" for value in self.options.values())
        return f"{self.builder} {said}".strip()


@dataclass(frozen=True)
class Asked:
    """What is kept of a specimen.

    Parameters
    ----------
    thicknesses : tuple of float
        nm.
    defocus : (float, float)
        nm.
    aberrations : dict
        Largest magnitudes in nm.
    convergence : float or None
        Smallest aperture in mrad.
    edges : tuple of float or None
        mrad; None: the regular ones.
    foci : tuple of float
        nm, where contrast is tabulated.
    half : bool
    """

    thicknesses: tuple[float, ...]
    defocus: tuple[float, float] = (0.0, 0.0)
    aberrations: dict[str, float] = field(default_factory=dict)
    convergence: float | None = None
    edges: tuple[float, ...] | None = None
    foci: tuple[float, ...] = (0.0,)
    half: bool = False


@dataclass(frozen=True)
class Task:
    """A response to be made.

    Parameters
    ----------
    id : str
        Twenty hexadecimal digits (`rhotem.library.campaign.expand`).
    title : str
    plan : dict
        `rhotem.analysis.plan.Plan.data`; the structure of a recipe is the builder's first crystal.
    asked : Asked
    recipe : Recipe or None
    """

    id: str
    title: str
    plan: dict[str, Any]
    asked: Asked
    recipe: Recipe | None = None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> "Task":
        """Inverse of `to_json`.

        Raises
        ------
        InputError
            If it is none.
        """
        try:
            said = json.loads(line)
            asked = said["asked"]
            for key in ("thicknesses", "defocus", "edges", "foci"):
                asked[key] = None if asked[key] is None else tuple(asked[key])
            recipe = said["recipe"]
            if recipe is not None:
                recipe = Recipe(**{**recipe, "crystals": tuple(recipe["crystals"])})
            return cls(str(said["id"]), str(said["title"]), said["plan"], Asked(**asked), recipe)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"task: not readable ({type(error).__name__}); run the campaign's plan again") from None

    def as_plan(self) -> "Plan":
        """The plan as an object."""
        from rhotem.analysis.plan import Plan

        return Plan(**self.plan)
