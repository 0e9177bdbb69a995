"""Pictures of a film: images side by side, grey scales fixed over the film, time, scale bar, and the atoms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.microscope.pictures import scale_bar

Floats = npt.NDArray[np.float64]
Overlay = Literal["ion", "all", "none"]

#: Width of a panel in inches, its height at most, and the resolution.
WIDTH, HEIGHT, DPI = 2.9, 4.2, 110
#: Most panels side by side.
ABREAST = 3
#: Pixels in Å that pictures are interpolated to, exactly.
PIXEL = 0.08
#: Radius in Å of atoms of the panel of the structure, as a share of the covalent one.
SMALLER = 0.45
#: Å beyond the edges of a picture from which atoms reach into it.
EDGE = 0.7
#: Share of the frames that a grey scale holds whole.
WITHIN = 0.95
#: Å across the beam from its first place that an ion has hopped, and no longer vibrates.
HOPPED = 1.7


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a frame through the film.

    Parameters
    ----------
    name : str
    title : str
    values : (K, nx, ny) array
    size : (float, float)
        Sides in Å.
    signed : bool
        Drawn red and blue around zero instead of grey.
    smooth : bool
        Interpolated between pixels, which is exact without counting noise.
    ends : (float, float) or None
        Ends of the scale; None: those that the share `WITHIN` of the frames stays within, all of 20 or fewer.
    """

    name: str
    title: str
    values: Any
    size: tuple[float, float]
    signed: bool = False
    smooth: bool = True
    ends: tuple[float, float] | None = None

    @property
    def range(self) -> tuple[float, float]:
        """Ends of the scale, the same in all frames; in a long film a few of them go beyond."""
        if self.ends is not None:
            return self.ends
        ends = [
            (float(v.min()), float(v.max())) for v in (np.asarray(self.values[k]) for k in range(self.values.shape[0]))
        ]
        least, most = zip(*ends, strict=True)
        # one atom upon another in one frame of a hundred would darken all others
        low = float(np.quantile(least, 1.0 - WITHIN, method="lower"))
        high = float(np.quantile(most, WITHIN, method="higher"))
        if self.signed:
            high = max(-low, high) or 1.0
            return -high, high
        return low, high if high > low else low + 1.0


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of one imaging cell through the film: places (K, M, 3) in Å (x, y, depth), numbers (M,), and which move."""

    places: Floats
    numbers: npt.NDArray[np.int64]
    ion: npt.NDArray[np.bool_]
    lengths: Floats


def pictures(
    panels: Sequence[Panel],
    atoms: Atoms,
    words: Sequence[str],
    *,
    labels: Mapping[str, str],
    headline: str,
    overlay: Overlay = "ion",
) -> Iterator[npt.NDArray[np.uint8]]:
    """Every frame as RGB (height, width, 3); ``words``: what stands above each, its time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = panels[0].size
    scale = min(WIDTH / width, HEIGHT / height)
    number = len(panels) + 1
    rows = 1 if number <= ABREAST else 2
    columns = -(-number // rows)
    size = (scale * width + 0.75) * columns, (scale * height + 0.55) * rows + 0.45
    # numbers of grey scales hang over on the right, where the layout does not see them
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, rect=(0.0, 0.0, 0.97, 1.0))
    figure = Figure(figsize=size, dpi=DPI, layout=layout)
    canvas = FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    axes = places[:number]
    for empty in places[number:]:
        empty.set_axis_off()
    drawn = [_panel(figure, one, panel, labels) for one, panel in zip(axes, panels, strict=False)]
    marks = [_marks(one, atoms, overlay) for one in axes[:-1]]
    if overlay != "none":
        way = ways(atoms)
        marks += [_hops(one, atoms, way) for one in axes]
    moving = _structure(axes[-1], atoms, labels)
    title = figure.suptitle("", fontsize=9)
    fixed = False
    for frame, text in enumerate(words):
        title.set_text(f"{text}\n{headline}" if headline else text)
        for image, panel in zip(drawn, panels, strict=True):
            values = np.asarray(panel.values[frame])
            image.set_data((_fine(values, panel.size) if panel.smooth else values).T)
        for mark in marks:
            mark(frame)
        moving(frame)
        canvas.draw()
        if not fixed:  # places of panels must not breathe with the width of a time
            figure.set_layout_engine("none")
            fixed = True
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _fine(values: Floats, size: tuple[float, float]) -> Floats:
    """A periodic image on pixels of `PIXEL`."""
    from rhotem.microscope.scan import fourier_resample

    shape = (max(values.shape[0], round(size[0] / PIXEL)), max(values.shape[1], round(size[1] / PIXEL)))
    return np.asarray(fourier_resample(values, shape))


def _panel(figure: Any, axes: Any, panel: Panel, labels: Mapping[str, str]) -> Any:
    low, high = panel.range
    image = axes.imshow(
        np.zeros((2, 2)),
        extent=(0, panel.size[0], panel.size[1], 0),
        cmap="RdBu_r" if panel.signed else "gray",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{labels.get('x', 'x')} →", fontsize=7)
    axes.set_ylabel(f"{labels.get('up', '−y')} →", fontsize=7)
    axes.set_title(panel.title, fontsize=8)
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0.0, 0.035, 1.0)))
    bar.ax.tick_params(labelsize=6)
    scale_bar(axes, panel.size)
    return image


def _shown(atoms: Atoms, frame: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Atoms to draw, by index, with those beyond the edges whose discs reach into the picture, and their places."""
    lengths = np.array([*atoms.lengths[:2], 0.0])
    steps = np.stack(np.meshgrid((-1, 0, 1), (-1, 0, 1), [0], indexing="ij"), axis=-1).reshape(-1, 3)
    places = (atoms.places[frame][None] + (steps * lengths)[:, None]).reshape(-1, 3)
    near = ((places[:, :2] > -EDGE) & (places[:, :2] < lengths[:2] + EDGE)).all(axis=1)
    return np.tile(np.arange(len(atoms.numbers)), len(steps))[near], places[near]


def _marks(axes: Any, atoms: Atoms, overlay: Overlay) -> Any:
    """Rings where the ions are, or dots where all atoms are."""
    if overlay == "none":
        return lambda frame: None
    points = axes.scatter([], [], s=22 if overlay == "ion" else 9, facecolors="none", linewidths=0.7)

    def show(frame: int) -> None:
        index, places = _shown(atoms, frame)
        chosen = atoms.ion[index] if overlay == "ion" else np.ones(len(index), dtype=bool)
        points.set_offsets(places[chosen, :2])
        points.set_edgecolors(np.where(atoms.ion[index[chosen]], "tab:green", "tab:orange"))

    return show


def ways(atoms: Atoms) -> Floats:
    """How far across the beam each ion is from its place in the first frame, (K, ions, 2) in Å, cell edges passed."""
    places, lengths = np.asarray(atoms.places)[:, atoms.ion, :2], atoms.lengths[:2]
    steps = np.diff(places, axis=0)
    steps -= np.round(steps / lengths) * lengths
    return np.concatenate([np.zeros_like(places[:1]), np.cumsum(steps, axis=0)])


def _hops(axes: Any, atoms: Atoms, way: Floats) -> Any:
    """Lines from the first places of ions that have hopped to where they are: among vibrations hops are not seen."""
    from matplotlib.collections import LineCollection

    lines = axes.add_collection(LineCollection([], colors="magenta", linewidths=1.0, zorder=3), autolim=False)
    first = np.asarray(atoms.places[0])[atoms.ion, :2]

    def show(frame: int) -> None:
        gone = np.linalg.norm(way[frame], axis=1) > HOPPED
        lines.set_segments(np.stack([first[gone], first[gone] + way[frame][gone]], axis=1))

    return show


def _structure(axes: Any, atoms: Atoms, labels: Mapping[str, str]) -> Any:
    """The atoms as seen along the beam, those nearer to the source above others; ions with a green rim."""
    from ase.data import chemical_symbols, covalent_radii
    from ase.data.colors import jmol_colors
    from matplotlib.collections import EllipseCollection

    lx, ly = atoms.lengths[:2]
    axes.set(xticks=[], yticks=[], xlim=(0, lx), ylim=(ly, 0), aspect="equal")
    axes.set_title("atoms: " + ", ".join(dict.fromkeys(np.array(chemical_symbols)[atoms.numbers])), fontsize=8)
    axes.set_xlabel(f"{labels.get('x', 'x')} →", fontsize=7)
    wide = 2.0 * SMALLER * covalent_radii[atoms.numbers]
    state: dict[str, Any] = {}

    def show(frame: int) -> None:
        if "drawn" in state:
            state["drawn"].remove()
        index, places = _shown(atoms, frame)
        order = np.argsort(-places[:, 2], kind="stable")
        index, places = index[order], places[order]
        state["drawn"] = axes.add_collection(
            EllipseCollection(
                wide[index],
                wide[index],
                np.zeros(len(index)),
                units="xy",
                offsets=places[:, :2],
                transOffset=axes.transData,
                facecolors=jmol_colors[atoms.numbers[index]],
                edgecolors=np.where(atoms.ion[index], "tab:green", "black"),
                linewidths=np.where(atoms.ion[index], 1.0, 0.3),
            )
        )

    return show
