"""Candidates for the next recording, and what each would tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.experiment.ahead.information import Seen, after, bits, bits_of_rivals, eliminated, of_setting, seen
from rhotem.experiment.ahead.known import Known
from rhotem.experiment.fit.images.errors import changes_of_doubts
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.nodes import Nodes
from rhotem.experiment.fit.images.recorded import Recorded
from rhotem.experiment.fit.images.refine import bounds
from rhotem.experiment.fit.images.state import LENS, NAMES, State

Array = npt.NDArray[np.float64]

#: Largest side in pixels that is computed: a larger scan tells the same things more often.
SIDE = 48
#: States of the posterior over which information is averaged.
DRAWS = 5


@dataclass(frozen=True)
class Setting:
    """Images that are recorded at once, their defocus in nm, and the dose in e/Å²."""

    images: tuple[str, ...]
    defocus: float
    dose: float


@dataclass(frozen=True)
class Told:
    """What a setting would tell.

    Parameters
    ----------
    setting : Setting
    bits : float
        Expected information on the specimen, rivals included.
    rivals : float
        The part of it that tells minima apart.
    errors : dict
        Expected standard deviation of every parameter afterwards.
    """

    setting: Setting
    bits: float
    rivals: float
    errors: dict[str, float]


@dataclass(frozen=True, eq=False)
class Asked:
    """What may be recorded next.

    Parameters
    ----------
    images : list of Recorded
        Values of the shape of the next scan; doubts of their angles among them.
    sets : sequence of tuples
        Places of images that are recorded at once.
    foci, doses : sequences of float
        nm, of the next image as the fit counts defocus; e/Å².
    """

    images: list[Recorded]
    sets: Sequence[tuple[int, ...]]
    foci: Sequence[float]
    doses: Sequence[float]


def what_tells(known: Known, nodes: Nodes, asked: Asked, *, seed: int = 0, progress: Progress = silent) -> list[Told]:
    """Expected information of every setting, the most first.

    Parameters
    ----------
    known : Known
        The posterior so far. Its thickness, astigmatism, source and occupancies are those of the next scan; its
        defocus, too, up to the step that the microscope makes; place and distortion of the next scan, gains and offsets
        are new.
    nodes : Nodes
        Responses of the specimen, with the edges of all detectors.
    asked : Asked
    seed : int
        Of draws from the posterior.
    progress : Progress
    """
    computed = [replace(one, values=np.zeros([min(SIDE, n) for n in one.values.shape])) for one in asked.images]
    more = asked.images[0].values.size / computed[0].values.size  # as much of every cell
    model = Model(nodes, computed)
    states = _states(known, model, seed)
    sums: dict[Setting, list[Told]] = {}
    for turn, state in enumerate(states):
        for place, focus in enumerate(asked.foci):
            there = _at(state, 10 * focus + state.defocus - known.values[1], model)
            held = _seen(model, there, known, more)
            for dose in asked.doses:
                for chosen in asked.sets:
                    setting = Setting(tuple(model.images[n].name for n in chosen), focus, dose)
                    sums.setdefault(setting, []).append(_told(setting, [held[n] for n in chosen], known))
            progress("settings", turn * len(asked.foci) + place + 1, len(states) * len(asked.foci))
    return sorted((_mean(setting, found) for setting, found in sums.items()), key=lambda one: -one.bits)


def _states(known: Known, model: Model, seed: int) -> list[State]:
    """The best state, and draws of the posterior within what the response holds."""
    rng, low_high = np.random.default_rng(seed), bounds(model)
    places = [*range(LENS), *range(len(NAMES) + 2 * len(model.images), len(low_high[0]))]
    low, high = (one[places] for one in low_high)
    values = [known.values, *rng.multivariate_normal(known.values, known.covariance, size=DRAWS - 1, method="eigh")]
    found = []
    for one in np.clip(values, low, high):
        scan = [0.0, 0.0, *known.matrix.ravel(), 0.0, 0.0]
        dose = np.full(len(model.images), abs(np.linalg.det(known.matrix)))  # of 1 e/Å²
        found.append(State(np.concatenate([one[:LENS], scan]), dose, np.zeros(len(model.images)), one[LENS:]))
    return found


def _at(state: State, defocus: float, model: Model) -> State:
    """The state at another defocus, within what the response holds."""
    values = state.values.copy()
    values[1] = np.clip(defocus, *model.response.range.defocus)
    return replace(state, values=values)


def _seen(model: Model, state: State, known: Known, more: float) -> list[Seen]:
    """What every image holds at one electron per Å²: thickness, lens, nodes, rivals, then the scan."""
    expected, slopes = model.with_slopes(state)
    number, first = len(model.images), len(NAMES)
    own = slopes[first + 2 * number :]
    rivals = []
    for (thickness, defocus), _ in known.rivals:
        values = state.values.copy()
        values[0] += thickness - known.values[0]
        values[1] += defocus - known.values[1]
        held, foci = model.response.thicknesses, model.response.range.defocus
        values[0], values[1] = np.clip(values[0], held[0], held[-1]), np.clip(values[1], *foci)
        rivals.append(model.shown(replace(state, values=values)) - expected)
    shared = np.concatenate([slopes[:LENS], own, np.reshape(rivals, (-1, *expected.shape)), slopes[LENS:first]])
    doubts: dict[int, Any] = changes_of_doubts(model, state)
    found = []
    for place in range(number):
        mine = [slopes[first + place, place], slopes[first + number + place, place]]
        mine += [doubts[place]] if place in doubts else []
        found.append(seen(shared[:, place], np.array(mine), np.maximum(expected[place], 0.0), more))
    return found


def _told(setting: Setting, images: list[Seen], known: Known) -> Told:
    """One setting at one state."""
    number, rivals = len(known.names), len(known.rivals)
    information = of_setting(images, setting.dose, number + rivals)
    later = after(known.covariance, information[:number, :number])
    free = [place for place in known.specimen if known.covariance[place, place] > 0]
    part = np.ix_(free, free)
    told = bits(known.covariance[part], later[part]) if free else 0.0
    apart = 0.0
    if rivals:
        inner = information[:number, :number].copy()
        some = np.diag(known.covariance) > 0
        inner[np.ix_(some, some)] += np.linalg.pinv(known.covariance[np.ix_(some, some)], hermitian=True)
        gram = eliminated(information[number:, number:], information[number:, :number], inner)
        apart = bits_of_rivals(gram, np.array([1.0, *[odds for _, odds in known.rivals]]))
    errors = dict(zip(known.names, np.sqrt(np.maximum(np.diag(later), 0.0)).tolist(), strict=True))
    return Told(setting, told + apart, apart, errors)


def _mean(setting: Setting, found: list[Told]) -> Told:
    """Over states of the posterior."""
    errors = {name: fmean(one.errors[name] for one in found) for name in found[0].errors}
    return Told(setting, fmean(one.bits for one in found), fmean(one.rivals for one in found), errors)
