"""Which labels of folders and shards may be used: judged, and of several states of a structure the lowest."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.quality import Verdict, judge
from rhotem.labels.read import places, read_labels, with_parent
from rhotem.labels.splits import Candidate
from rhotem.labels.states import State, superseded


@dataclass(frozen=True)
class Listing:
    """What is there.

    Parameters
    ----------
    usable : list of Candidate
        Accepted, and no lower state known: what may be trained on or tested against.
    verdicts : dict
        By identifier.
    higher : dict
        Accepted labels of which a lower state is there: its identifier, and how far it is below in eV per cell.
    unread : dict
        Files that cannot be read, and why.
    """

    usable: list[Candidate]
    verdicts: dict[str, Verdict]
    higher: dict[str, tuple[str, float]]
    unread: dict[str, str]


def listing(sources: Iterable[str | Path]) -> Listing:
    """Read, judge and compare all labels of files, shards and folders; what cannot be read is listed, not raised."""
    files = dict.fromkeys(places(sources).values())
    verdicts: dict[str, Verdict] = {}
    states: list[State] = []
    candidates: dict[str, Candidate] = {}
    unread: dict[str, str] = {}
    for file in files:
        try:
            for label in map(with_parent, read_labels([file])):
                if label.name in verdicts:
                    continue
                verdicts[label.name] = judge(label)
                if verdicts[label.name].state == "accepted":
                    states.append(State.of(label, label.name))
                    candidates[label.name] = _candidate(label)
        except InputError as error:
            unread[str(file)] = str(error)
    higher = {name: (lowest.name, gap) for name, (lowest, gap) in superseded(states).items()}
    above: dict[str, list[str]] = {}
    for name, (lowest, _) in higher.items():
        above.setdefault(lowest, []).append(name)
    usable = [_with_higher(c, above.get(c.id, [])) for c in candidates.values() if c.id not in higher]
    return Listing(usable, verdicts, higher, unread)


def _candidate(label: Label) -> Candidate:
    atoms = label.structure.atoms
    known = tuple(sorted(label.meta.get("higher_states_eV", {})))
    return Candidate(label.name, label.meta, tuple(atoms.get_chemical_symbols()), label.complete, atoms, known)


def _with_higher(candidate: Candidate, names: list[str]) -> Candidate:
    return replace(candidate, higher=tuple(sorted({*candidate.higher, *names})))
