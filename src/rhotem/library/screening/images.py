"""Contrast of candidates: their responses in a library, and what its table says of every kind of column."""

import glob
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from rhotem.analysis.plan.problems import problems
from rhotem.core import InputError
from rhotem.library.campaign.driver import Crew, drive
from rhotem.library.campaign.expand import tasks_of
from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.model import Campaign
from rhotem.library.campaign.tally import Tally
from rhotem.library.catalogue.tables import contrasts
from rhotem.library.screening.candidates import ION, METAL, kind_of
from rhotem.library.screening.judge import RELAXED, Judged
from rhotem.library.store import Library
from rhotem.structure.indices import three_indices

#: Least and most defocus in nm that every response holds.
FOCI = (-2.0, 4.0)
#: nm of defocus that contrast may be taken at.
FARTHEST = 100.0
#: Kinds of columns that the table has: of what moves, and of metals.
SHOWN = {ION: "ion", METAL: "metal"}


@dataclass(frozen=True)
class Imaging:
    """How candidates are imaged.

    Parameters
    ----------
    preset : str
    thickness_nm : float
    phonons : int
        Configurations of thermal motion; 0: at rest.
    zone : three int or None
        Of every candidate's own conventional cell; None: each along the one that tells its columns apart.
    defocus_nm : float
        At which contrast is taken; responses hold `FOCI` beside.
    density : str or None
        Source; None: the one that every image takes.
    workers : int
    """

    preset: str = "layered-oxide"
    thickness_nm: float = 3.0
    phonons: int = 4
    zone: tuple[int, ...] | None = None
    defocus_nm: float = 0.0
    density: str | None = None
    workers: int = 1

    def campaign(self, files: Sequence[str]) -> Campaign:
        """The campaign that images these files."""
        told: dict[str, Any] = {
            "name": "screening",
            "structures": [{"names": [glob.escape(file) for file in files]}],
            "motion": {"phonons": self.phonons},
            "microscope": {"preset": self.preset},
            "thicknesses_nm": [self.thickness_nm],
            "lens": {"defocus_nm": [min(FOCI[0], self.defocus_nm), max(FOCI[1], self.defocus_nm)]},
            "kept": {"foci_nm": [self.defocus_nm]},
        }
        if self.zone is not None:
            told["vary"] = {"zone": [list(self.zone)]}
        if self.density is not None:
            told["density"] = {"source": self.density}
        try:
            return Campaign.model_validate(told)
        except ValidationError as error:
            raise InputError(f"screen: {problems(error, Campaign)[0]}") from None

    def check(self) -> None:
        """Refuse what no candidate can be imaged with, before the first one is relaxed.

        Raises
        ------
        InputError
            If a setting is wrong, or the axis is no direction.
        """
        self.campaign(["phase"])
        if not abs(self.defocus_nm) <= FARTHEST:
            raise InputError(f"--defocus {self.defocus_nm:g} nm: at most {FARTHEST:g} nm")
        if self.zone is not None:
            three_indices(self.zone, plane=False, hexagonal=True)


def contrasts_of(
    judged: Sequence[Judged], how: Imaging, folder: Path, report: Callable[[Tally], None] = lambda tally: None
) -> dict[str, dict[str, float | str]]:
    """Columns of the table by the name of a candidate, from the library ``folder/library``, which is filled first.

    ``ABF_ion``: contrast of the columns of mobile ions alone, of several kinds of such columns the largest;
    ``ABF_metal``: the same of metals; ``entry``: where the response lies.
    """
    files = {str(folder / one.candidate.folder / RELAXED): one for one in judged if one.structure is not None}
    if not files:
        return {}
    campaign = how.campaign(list(files))
    tasks = tasks_of(campaign)
    # candidates that became the same crystal share a task
    own = [tasks_of(how.campaign([file]))[0].id for file in files] if len(tasks) < len(files) else [t.id for t in tasks]
    # a campaign keeps its tasks: other candidates are another one, which does what is not there yet
    digest = hashlib.sha256(" ".join(task.id for task in tasks).encode()).hexdigest()
    campaign = campaign.model_copy(update={"name": f"{campaign.name} {digest[:10]}"})
    with Library.create(folder / "library") as library:
        ledger = Ledger(library.catalogue, campaign.name)
        ledger.begin(campaign.model_dump_json(by_alias=True), tasks)
        drive(ledger, campaign.limits, Crew(how.workers, None), report)
        reasons = {identifier: reason for identifier, _, reason in ledger.failures()}
        made: dict[str, dict[str, float | str]] = {}
        for one, of_it in zip(files.values(), own, strict=True):
            found = _of_entry(library, of_it)
            why = reasons.get(of_it, "no columns are told apart along this axis")
            made[one.candidate.name] = found or {"image_failed": why}
    return made


def _of_entry(library: Library, identifier: str) -> dict[str, float | str]:
    c = contrasts.c
    with library.catalogue.begin() as connection:
        rows = list(connection.execute(select(c.image, c.label, c.contrast).where(c.entry == identifier)))
    found: dict[str, float | str] = {}
    for image, label, contrast in rows:
        elements = [element.rstrip("0123456789") for element in label.split("/")]
        kinds = {kind_of(element) for element in elements}
        if len(kinds) == 1 and (name := SHOWN.get(kinds.pop())):
            key = f"{image}_{name}"
            if abs(float(contrast)) > abs(float(found.get(key, 0.0))):
                found[key] = float(contrast)
    return {**found, "entry": identifier} if rows else {}
