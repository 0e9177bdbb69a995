"""Search by a recorded picture: which entries look like it, at which thickness and focus."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, or_, select

from rhotem.core import InputError
from rhotem.library.appearance import (
    FAR,
    Harmonics,
    Likeness,
    clearness,
    from_bytes,
    has_one_direction,
    likenesses,
    magnitudes,
    of_image,
    of_picture,
    stands_out,
)
from rhotem.library.catalogue.tables import appearances, entries
from rhotem.library.search.index import vectors_of

if TYPE_CHECKING:
    from rhotem.experiment.measurement import Measurement
    from rhotem.library.entry import Entry
    from rhotem.library.store import Library

#: Part of the score that noise leaves (`clearness`) from which an entry looks like a picture, and how much less it may
#: be for every part that noise takes: foreign lattices rarely reach the first, amorphous films 0.6 (docs/library.md).
LEAST, LENIENT = 0.975, 0.5
#: Largest pixel in Å, and least width of a picture in periods of the largest distance that is compared.
COARSEST, WIDTH = 0.6, 2.2
#: Images of entries that the index hands on, and entries drawn at random that false alarms are counted on.
HANDED_ON, DRAWN = 60, 200
#: Entries that are evaluated for one that is shown, and foci at which.
EVALUATED, FOCI = 3, 5


@dataclass(frozen=True)
class Match:
    """An entry that looks like a picture.

    Parameters
    ----------
    entry : Entry
    image : str
        Which of its images: "HAADF".
    likeness : Likeness
        Score, angle, scale, hand.
    thickness, defocus : float
        nm, where the likeness is largest.
    others : float or None
        Part of entries of other prototypes, drawn at random, that are as like: the chance of a false alarm. None: the
        library has no other prototype, the chance is not known.
    """

    entry: "Entry"
    image: str
    likeness: Likeness
    thickness: float
    defocus: float
    others: float | None


@dataclass(frozen=True)
class Matches:
    """What was found.

    Parameters
    ----------
    nearest : tuple of Match
        The entries that are most alike, whatever their score.
    least : float
        Score from which one is said to look like the picture: less where the picture is noisy.
    fringes : bool
        Whether the picture shows one set of fringes, as every crystal with planes of their distance does.
    noisy : bool
        Whether nothing in it stands out of the noise around it: what is nearest to noise says nothing.
    """

    nearest: tuple[Match, ...]
    least: float
    fringes: bool
    noisy: bool = False

    @property
    def found(self) -> tuple[Match, ...]:
        """Those that look like the picture; none where it shows fringes, which tell no crystal, or noise alone."""
        if self.fringes or self.noisy:
            return ()
        return tuple(one for one in self.nearest if one.likeness.score >= self.least)

    @property
    def shown(self) -> tuple[Match, ...]:
        """Those that a person is shown: with fringes the nearest, which `verdict` says."""
        return self.nearest if self.fringes and not self.noisy else self.found

    def verdict(self, name: str) -> str:
        """One line on a picture of that name that no entry is said to look like; "": there are such entries."""
        if self.noisy:
            return (
                f"{name}: no lattice stands out of its noise, so nothing can be said of it: too few electrons for "
                "what this scatters, or no crystal; average frames, or take another image"
            )
        if self.fringes:
            return f"{name}: one set of fringes tells no crystal: all with planes so far apart look like it, as do"
        if self.found:
            return ""
        one = self.nearest[0]
        return (
            f"no entry looks like {name}; the most alike, {one.entry.title} {one.entry.zone}, scores "
            f"{one.likeness.score:.2f}, less than {self.least:.2f}"
        )


def by_picture(
    library: "Library",
    picture: "Measurement",
    images: Sequence[str] = (),
    where: Any = (),
    limit: int = 5,
) -> Matches:
    """Entries that look like a picture, the most alike first, each at its best thickness and focus.

    Parameters
    ----------
    library : Library
    picture : Measurement
        An image whose pixel is known within 4 %.
    images : sequence of str
        Names of images that are compared, "HAADF"; none: all.
    where : conditions of `rhotem.library.search.filters`
    limit : int
        Most entries.

    Raises
    ------
    InputError
        If it is no image, has no scale, is too small or too coarse, or no entry has such an image.
    """
    pixel = _pixel(picture)
    looks, clear = of_picture(picture.data, pixel), clearness(picture.data, pixel)
    least = clear * (LEAST - LENIENT * (1 - clear))
    pairs, alike = nearest(library, looks, images, where)
    order = sorted(range(len(pairs)), key=lambda i: -alike[i].score)
    best: dict[str, int] = {}
    for i in order:
        best.setdefault(pairs[i][0], i)
    chosen = list(best.values())[: EVALUATED * limit]
    known = {one.id: one for one in library.entries([entries.c.id.in_([pairs[i][0] for i in chosen])])}
    seen = [_evaluated(library, looks, known[pairs[i][0]], pairs[i][1]) for i in chosen]
    seen.sort(key=lambda match: -match.likeness.score)
    # those of one prototype are asked of the same others
    others = cache(partial(_scores_of_others, library, looks))
    shown = tuple(_compared(match, others(match.image, match.entry.prototype)) for match in seen[:limit])
    return Matches(shown, least, has_one_direction(looks), not stands_out(picture.data, pixel))


def _pixel(picture: "Measurement") -> tuple[float, float]:
    """Å down and along a row, of a picture that can be searched for."""
    name = picture.source.path or "picture"
    if picture.kind != "image":
        raise InputError(f"{name}: searches take an image, this is a {picture.kind}")
    if picture.pixel is None:
        raise InputError(f"{name}: the size of its pixels is not known; give it, within 4 %: --pixel-A")
    if max(picture.pixel) > COARSEST:
        raise InputError(f"{name}: pixels of {max(picture.pixel):.2g} Å; atoms are told by {COARSEST} Å and less")
    size = [n * step for n, step in zip(picture.data.shape, picture.pixel, strict=True)]
    if min(size) < WIDTH * FAR:
        raise InputError(f"{name}: {size[1]:.3g} × {size[0]:.3g} Å; at least {WIDTH * FAR:.0f} Å each way are needed")
    return picture.pixel


def nearest(
    library: "Library", looks: Harmonics, images: Sequence[str] = (), where: Any = ()
) -> tuple[list[tuple[str, str]], list[Likeness]]:
    """Entries and images whose magnitudes in the index are nearest, and how well each is the picture.

    Raises
    ------
    InputError
        If no entry has such an image.
    """
    names, vectors = vectors_of(library, appearances, _named)
    if not len(names):
        raise InputError(
            f"{library.folder}: of no entry is known how it looks; `rhotem library repair {library.folder}` finds out"
        )
    kept = np.ones(len(names), dtype=bool)
    if images:
        kinds = np.char.partition(names, " ")[:, 2]
        kept &= np.isin(kinds, list(images))
        if not kept.any():
            raise InputError(f"--image {','.join(images)}: entries have {', '.join(sorted(set(kinds.tolist())))}")
    if where:
        with library.catalogue.begin() as connection:
            met = list(connection.execute(select(entries.c.id).where(*where)).scalars())
        kept &= np.isin(np.char.partition(names, " ")[:, 0], met)
    places = np.flatnonzero(kept)
    vector = magnitudes(looks)
    nearness = vectors[places] @ vector if len(places) < len(names) else vectors @ vector
    top = places[np.argsort(-nearness, kind="stable")[:HANDED_ON]]
    if not len(top):
        raise InputError(f"{library.folder}: no entry meets this")
    pairs = [(entry, image) for entry, _, image in (str(name).partition(" ") for name in names[top])]
    return pairs, likenesses(looks, _harmonics(library, pairs))


def _named(row: Any) -> tuple[str, npt.NDArray[np.float32]]:
    return f"{row.entry} {row.image}", magnitudes(from_bytes(row.harmonics))


def _harmonics(library: "Library", pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.complex64]:
    t = appearances.c
    asked = select(appearances).where(or_(*(and_(t.entry == entry, t.image == image) for entry, image in pairs)))
    with library.catalogue.begin() as connection:
        known = {(row.entry, row.image): from_bytes(row.harmonics) for row in connection.execute(asked)}
    return np.stack([known[pair] for pair in pairs])


def _evaluated(library: "Library", looks: Harmonics, entry: "Entry", image: str) -> Match:
    """An entry at the thickness and focus of its response that are most like the picture."""
    held = library.response(entry.id)
    least, most = held.range.defocus
    settings = [(t, f) for t in held.thicknesses for f in np.linspace(least, most, FOCI)]
    series = held.series(thickness=[t for t, _ in settings], defocus=[f for _, f in settings])[image]
    alike = likenesses(looks, np.stack([of_image(one, held.extent) for one in series]))
    best = max(range(len(settings)), key=lambda i: alike[i].score)
    thickness, defocus = settings[best]
    return Match(entry, image, alike[best], 0.1 * thickness, 0.1 * float(defocus), None)


def _compared(match: Match, others: npt.NDArray[np.float64]) -> Match:
    """With the part of other entries' scores that are as high; None where there are no others."""
    return replace(match, others=float((others >= match.likeness.score).mean()) if len(others) else None)


def _scores_of_others(library: "Library", looks: Harmonics, image: str, prototype: str) -> npt.NDArray[np.float64]:
    """Scores of entries of other prototypes, drawn at random; empty where the library has none."""
    t, e = appearances.c, entries.c
    asked = select(t.entry).join(entries, e.id == t.entry).where(t.image == image)
    with library.catalogue.begin() as connection:
        names = list(connection.execute(asked.where(e.prototype != prototype).order_by(t.entry)).scalars())
    if not names:
        return np.zeros(0)
    drawn = np.random.default_rng(0).permutation(len(names))[:DRAWN]
    alike = likenesses(looks, _harmonics(library, [(names[i], image) for i in drawn.tolist()]))
    return np.array([one.score for one in alike])
