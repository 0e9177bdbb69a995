"""Silicon: structure factors and measured CBED profiles against free atoms, the learned density and DFT.

    python benchmarks/si_cbed.py [--sources free-atoms,model,gpaw] [--gpaw-cache DIR] [--figure FILE]

Part 1 compares U_g. Part 2 first reproduces the published fit's own curves, then fits orientation, thickness, scale,
one background a disc and U'_111 to the measured ones with U_g of every density, at last U_111 and U_222 as well.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np

from rhotem.analysis import run
from rhotem.core.units import interaction_constant, wavelength
from rhotem.density.fourier import coefficients
from rhotem.potential.crystal import structure_factors
from rhotem.scattering.blochwave import BlochWaves, OpticalPotential, select_beams, wave_vectors
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "tests" / "data" / "si-cbed"
ENERGY, A, B = 196.75e3, 5.4307, 0.4668
MSD = np.full(2, B / (8 * np.pi**2))
#: The published fit, 1/Å², and F(222) of X-ray diffraction, e per cell.
PUBLISHED = {"U111": 0.04735, "U'111": 0.00079, "U222": 0.00092, "F222": 1.456}
#: Primitive vectors in the cubic ones, and the discs of the row.
PRIMITIVE = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
DISCS = np.array([[-1, 1, 1], [0, 0, 0], [1, -1, -1], [2, -2, -2]])
ROW, ACROSS = np.array([1, -1, -1]) / np.sqrt(3), np.array([1, -1, 2]) / np.sqrt(6)
MIDDLE, PIXEL = np.array([12.0152, -12.0152, 26.4176]) / A, np.sqrt(3) / A / 226.7
#: Lines: (row, column) of both ends in pixels, points, and the discs that the fit uses of them.
LINES = (
    ((61.48970, -80.59588), (61.48970, 104.16463), 101, (1, 1, 1, 1)),
    ((16.15227, -85.27648), (11.25240, 83.03997), 101, (0, 0, 1, 1)),
    ((59.41647, -44.46745), (25.42195, -44.45989), 21, (0, 0, 0, 1)),
    ((59.41647, 68.88256), (25.42195, 68.89011), 21, (0, 0, 1, 0)),
)
USED = np.repeat(np.array([used for *_, used in LINES], dtype=bool), [n for *_, n, _ in LINES], axis=0).T
#: Where fits start: shift of the orientation along and across the row in 1/Å, thickness in Å.
START = (-0.0040, 0.0125, 3435.0)
#: Largest |g| and excitation errors of exact and weak beams, 1/Å.
SELECTION = (4.0, 0.01, 0.04)


def silicon(turn: np.ndarray) -> Structure:
    """The primitive cell with inversion centres on lattice points, turned."""
    cell = PRIMITIVE * A @ turn.T
    return Structure(ase.Atoms("Si2", scaled_positions=[[0.125] * 3, [-0.125] * 3], cell=cell, pbc=True))


def in_primitive(h: np.ndarray) -> np.ndarray:
    """Indices in the primitive cell of cubic ones."""
    return np.rint(np.asarray(h) @ PRIMITIVE.T).astype(int)


def table(fields: dict) -> None:
    """Structure factors of every density."""
    h = in_primitive(np.array([[1, 1, 1], [2, 2, 0], [3, 1, 1], [2, 2, 2], [4, 0, 0]]))
    crystal, per_volt = silicon(np.eye(3)), interaction_constant(ENERGY) / (np.pi * wavelength(ENERGY))
    print(f"U_g in 1/Å² at 196.75 kV, γ 1.3850, a {A} Å: at rest / with exp(−Bg²/4), B = {B} Å²")
    print(f"{'':12} {'111':>17} {'220':>17} {'311':>17} {'222':>19} {'400':>17}  F222 (e per cubic cell)")
    for name, field in fields.items():
        rest, moving = (np.abs(structure_factors(field, crystal, h, "pbe", u)) * per_volt for u in (None, MSD))
        f222 = 0.0 if field is None else 4 * abs(coefficients(field, h[3:4])[0]) * field.grid.volume
        both = " ".join(f"{a:8.5f}/{b:8.5f}" for a, b in zip(rest, moving, strict=True))
        u111, u222 = moving[0] / PUBLISHED["U111"] - 1, moving[3] / PUBLISHED["U222"] - 1
        print(f"{name:12} {both}  {f222:.3f}  against CBED: U111 {100 * u111:+.2f} %, U222 {100 * u222:+.1f} %")


@dataclass
class Curves:
    """Curves (discs, points) with their weights, and where they were recorded."""

    counts: np.ndarray
    weights: np.ndarray

    @property
    def number(self) -> int:
        """Points that count."""
        return int(USED.sum())


def curves(cell: int, name: str) -> Curves:
    """``exp`` or ``sim`` of an output of the notebook, with the detector's variance."""
    with np.load(DATA / f"si_cbed_196p75kV_cell{cell}.npz") as data:
        counts = np.concatenate([data[f"{name}{i}"][:, 0] for i in range(4)], axis=1).astype(float)
    variance = 2.2 * counts + 0.111 * 2.2 * (0.2 + 4e-5 * counts + 3.15 / counts)
    return Curves(counts, USED / variance)


class Model:
    """Bloch waves of the row with U_111, U_222 (real, 1/Å²) and U'_111 of choice."""

    def __init__(self, field: object) -> None:
        normal = np.array([1, 1, 0]) / np.sqrt(2)
        self.turn = np.array([ROW, np.cross(normal, ROW), normal])
        crystal = silicon(self.turn)
        base = OpticalPotential(crystal, ENERGY, field, MSD)
        rows, columns = (
            np.concatenate([np.linspace(start[i], end[i], n) for start, end, n, _ in LINES]) for i in (0, 1)
        )
        self.offset = PIXEL * (columns[:, None] * ROW + rows[:, None] * ACROSS) + MIDDLE
        first = self.directions(START)
        u0 = float(base.elastic(np.zeros((1, 3), dtype=int))[0].real)
        beams = select_beams(crystal, base, wave_vectors(first, wavelength(ENERGY), u0), *SELECTION)
        self.waves = BlochWaves(crystal, base, ENERGY, beams)
        self.places = {
            n: self.waves.matrix_of(in_primitive([h, -h])) for n, h in (("U111", DISCS[2]), ("U222", DISCS[3]))
        }
        self.discs = [beams.index(h) for h in in_primitive(DISCS)]
        one = in_primitive(DISCS[2:])
        self.values = {
            "U111": float(base.elastic(one)[0].real),
            "U222": float(base.elastic(one)[1].real),
            "U'111": float(base.absorptive(one)[0].real),
        }
        self.base = self.waves.matrix.copy()
        self.first = dict(self.values)

    def directions(self, where: tuple[float, float, float]) -> np.ndarray:
        """Components across the beam of all points."""
        return ((self.offset + where[0] * ROW - where[1] * ACROSS) @ self.turn.T)[:, :2]

    def intensities(self, where: tuple, values: dict, free: tuple[str, ...]) -> tuple[np.ndarray, dict]:
        """Intensities (discs, points), and their derivatives by ``free``."""
        change = sum(
            (values[n] - self.first[n]) * factor * self.places[n.replace("'", "")]
            for n, factor in (("U111", 1), ("U222", 1), ("U'111", 1j))
        )
        self.waves.matrix = self.base + change
        k = self.directions(where)
        slopes = self.waves.slopes(k)
        # x of the frame is along the row, y against ACROSS, as the shift is
        changes = {"x": slopes[0], "y": slopes[1], **self.places, "U'111": 1j * self.places["U111"]}
        names = [n for n in free if n != "t"]
        psi, parts = self.waves.derivatives(k, where[2], [changes[n] for n in names])
        psi, parts = psi[:, self.discs].T, parts[:, :, self.discs].transpose(0, 2, 1)
        return np.abs(psi) ** 2, {n: 2 * (psi.conj() * p).real for n, p in zip(["t", *names], parts, strict=True)}


def linear(intensity: np.ndarray, data: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Scale and backgrounds of the discs by least squares, and their columns."""
    columns = np.zeros((*intensity.shape, 5))
    columns[..., 0] = intensity
    columns[np.arange(4), :, 1 + np.arange(4)] = 1.0
    root = np.sqrt(data.weights).ravel()
    columns = columns.reshape(-1, 5)
    best, *_ = np.linalg.lstsq(columns * root[:, None], data.counts.ravel() * root, rcond=None)
    return best, columns


def fit(model: Model, data: Curves, free: tuple[str, ...], values: dict, steps: int = 10) -> dict:
    """Levenberg–Marquardt of ``free``; scale and backgrounds are eliminated at every step."""
    at = {"x": START[0], "y": START[1], "t": START[2], **values}
    root, damping, best = np.sqrt(data.weights).ravel(), 1e-3, None
    scales = {"x": 1e-4, "y": 1e-4, "t": 1.0, "U111": 1e-4, "U222": 1e-5, "U'111": 1e-5}
    step = dict.fromkeys(free, 0.0)
    for _ in range(steps):
        trial = {n: v + step.get(n, 0.0) for n, v in at.items()}
        intensity, slopes = model.intensities((trial["x"], trial["y"], trial["t"]), trial, free)
        lines, columns = linear(intensity, data)
        rest = (columns @ lines - data.counts.ravel()) * root
        chi2 = float(rest @ rest)
        if best is None or chi2 < best["chi2"]:
            done = best is not None and best["chi2"] - chi2 < 2e-4 * chi2
            at, damping = trial, 0.2 * damping
            jacobian = np.column_stack([slopes[n].ravel() * lines[0] * scales[n] for n in free])
            full = np.column_stack([jacobian, columns]) * root[:, None]
            best = {
                "chi2": chi2,
                "at": at,
                "lines": lines,
                "curve": (columns @ lines).reshape(4, -1),
                "full": full,
                "rest": rest,
            }
            if done:
                break
        else:
            damping *= 10
        normal = best["full"].T @ best["full"]
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -best["full"].T @ best["rest"])
        step = {n: float(m * scales[n]) for n, m in zip(free, move, strict=False)}
    degrees = data.number - len(free) - 5
    best["reduced"] = best["chi2"] / degrees
    spread = np.sqrt(np.diag(np.linalg.inv(best["full"].T @ best["full"])) * best["reduced"])
    best["errors"] = {n: float(e * scales[n]) for n, e in zip(free, spread, strict=False)}
    return best


def report(name: str, found: dict, started: float) -> None:
    """One paragraph of a fit."""
    at, errors = found["at"], found["errors"]
    said = ", ".join(
        f"{n} {at[n]:.5f}" + (f" ± {errors[n]:.5f}" if n in errors else "") for n in ("U111", "U222", "U'111")
    )
    print(
        f"{name:28} χ² {found['reduced']:7.3f}, t {at['t']:.1f} Å, tilt ({1e3 * at['x']:+.2f}, "
        f"{1e3 * at['y']:+.2f})·10⁻³/Å, scale {found['lines'][0]:.0f}, background {np.round(found['lines'][1:], 0)}, "
        f"{said}; {time.process_time() - started:.0f} CPU s",
        flush=True,
    )


def figure(path: str, data: Curves, fits: dict[str, dict]) -> None:
    """Measured and fitted profiles of the first line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 5.2), dpi=130, layout="constrained")
    FigureCanvasAgg(drawing)
    names = ("$\\bar{1}11$", "000", "$1\\bar{1}\\bar{1}$", "$2\\bar{2}\\bar{2}$")
    for i, label in enumerate(names):
        axes = drawing.add_subplot(2, 2, i + 1)
        x = np.linspace(LINES[0][0][1], LINES[0][1][1], 101) / 226.7
        axes.plot(x, data.counts[i, :101], "k.", ms=3, label="measured")
        for name, found in fits.items():
            axes.plot(x, found["curve"][i, :101], lw=1, label=f"{name}, χ² {found['reduced']:.1f}")
        axes.set_title(f"disc {label}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("position along the row, |g(111)|", fontsize=7)
        axes.set_ylabel("counts", fontsize=7)
        if i == 0:
            axes.legend(fontsize=6)
    drawing.savefig(path)


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", default="free-atoms,model")
    parser.add_argument("--gpaw-cache", default=None)
    parser.add_argument("--figure", default=None)
    asked = parser.parse_args()
    fields: dict = {}
    for name in asked.sources.split(","):
        options = {"cache": asked.gpaw_cache} if name == "gpaw" else {}
        fields[name] = None if name == "free-atoms" else run.density(silicon(np.eye(3)), name, **options)
    table(fields)
    started = time.process_time()
    first = Model(None)
    print(f"{len(first.waves.beams.exact)} beams, {len(first.waves.beams.weak)} weak, {len(first.offset)} directions")
    measured, published = curves(26, "exp"), curves(26, "sim")
    apart = ((published.counts - measured.counts) ** 2 * measured.weights).sum()
    both = f"{apart / 968:.2f} over 976 − 8, {apart / (measured.number - 13):.2f} over the points used"
    print(f"published curves against the measured: χ² {both}", flush=True)
    values = {"U111": PUBLISHED["U111"], "U222": -PUBLISHED["U222"], "U'111": PUBLISHED["U'111"]}
    report("published curves, its U", fit(first, published, ("x", "y", "t"), values), started)
    report("measured, its U", fit(first, measured, ("x", "y", "t", "U'111"), values), started)
    fits = {}
    for name, field in fields.items():
        model = Model(field)
        fits[name] = fit(model, measured, ("x", "y", "t", "U'111"), model.first | {"U'111": PUBLISHED["U'111"]})
        report(f"measured, {name}", fits[name], started)
    free = ("x", "y", "t", "U'111", "U111", "U222")
    fits["refined"] = fit(model, measured, free, values)
    report(f"measured, {name}, U refined", fits["refined"], started)
    if asked.figure:
        figure(asked.figure, measured, fits)


if __name__ == "__main__":
    main()
