"""All candidates of a screening, one after another, then their images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhotem.core import Progress, silent
from rhotem.library.campaign.tally import Tally
from rhotem.library.screening.candidates import Candidate
from rhotem.library.screening.images import Imaging, contrasts_of
from rhotem.library.screening.judge import Criteria, Judged, judge


def screened(
    candidates: Sequence[Candidate],
    how: Criteria,
    imaging: Imaging | None,
    folder: Path,
    progress: Progress = silent,
) -> tuple[list[dict[str, Any]], dict[str, Sequence[str]]]:
    """Rows of the table in the order asked for, and the notes of every candidate.

    States of charge are kept in a folder of each candidate and responses in ``folder/library`` as they are done: a
    screening that was stopped goes on, and takes in further candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
    how : Criteria
    imaging : Imaging or None
        None: no images.
    folder : Path
    progress : Progress
    """
    judged: list[Judged] = []
    for number, candidate in enumerate(candidates):
        progress(f"candidates: {candidate.name}", number, len(candidates))
        judged.append(judge(candidate, how, folder / candidate.folder))
    progress("candidates", len(candidates), len(candidates))
    seen: dict[str, dict[str, Any]] = {}
    if imaging is not None:
        most = sum(one.structure is not None for one in judged)

        def told(tally: Tally) -> None:
            progress("images", tally.done + tally.failed, most)

        seen = contrasts_of(judged, imaging, folder, told)
    rows = [{**one.row, **seen.get(one.candidate.name, {}), **_failed(one)} for one in judged]
    return rows, {one.candidate.name: one.notes for one in judged if one.notes}


def _failed(one: Judged) -> dict[str, str]:
    return {"failed": one.failed} if one.failed else {}
