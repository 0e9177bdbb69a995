"""A weighing as a sentence, a table and a figure."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core.figures import blank_figure
from rhotem.experiment.weigh.dose import DECIDED, SHARE, share_decided
from rhotem.experiment.weigh.images import ImageHypothesis
from rhotem.experiment.weigh.weighing import FARTHEST, Weighing, pair_factor

#: Part of the expected ln odds that their error by displacements may be: both grow with the dose.
STEADY = 0.3
#: ln odds that are written as a number of odds; beyond, as a power of ten.
WRITTEN = 9.0
#: Errors of ln odds by displacements that are written.
SHAKEN = 0.05
#: Residuals drawn at most, in standard deviations.
MOST = 4.0


def verdict(made: Weighing) -> str:
    """One sentence: which hypothesis, how sure, how often such a verdict errs, and the dose that would decide."""
    first, second = made.order[:2]
    best, rival = made.names[first], made.names[second]
    start = f"{best}, not {rival}" if made.decided else f"undecided between {best} and {rival}"
    start += f": odds {odds(made.margin)}"
    if made.shaken > SHAKEN:
        start += f" (ln odds {made.margin:.3g} ± {made.shaken:.2g} by the displacements that were simulated)"
    trials = made.trials.evidence.shape[1]
    count = round(made.false_alarm(second) * trials)
    start += f"; {count} of {trials} simulated recordings of {rival} speak as strongly for {best}"
    poor = made.found[first].excess
    doubt = (
        f"; no hypothesis explains the recording (residuals {poor:.2f} of the noise's square)"
        if not made.explained
        else ""
    )
    if made.beyond and not doubt:
        mean, deviation = made.expected
        doubt = (
            f"; but {best} would give ln odds of {mean:.3g} ± {deviation:.2g}, measured are {made.margin:.3g}: "
            "something counts that no hypothesis holds (more --phonons, tilt, drift)"
        )
    return f"{start}; {needed(made)}{doubt}"


def needed(made: Weighing) -> str:
    """What dose decides, in words."""
    factor, dose = made.factor, made.dose
    if factor > FARTHEST:
        return "no dose tells them apart with these detectors"
    if made.shaken > STEADY * made.expected[0]:
        number = int(np.ceil((made.shaken / (STEADY * made.expected[0])) ** 2))
        return f"simulate {number} times as many --displacements before more electrons can help"
    words = f"{factor:.2g} times this dose"
    words += f" ({dose * factor:.2g} e/Å²)" if dose else ""
    least = f"gives odds of 20:1 in {100 * SHARE:.0f} % of recordings"
    if made.check is None:
        return f"{words} {least}"
    return f"{words} {least} (simulated: {100 * float(np.min(np.diag(made.check.decided))):.0f} %)"


def odds(logarithm: float) -> str:
    """Odds as one would say them."""
    if logarithm < WRITTEN:
        return f"{np.exp(logarithm):.2g} : 1"
    return f"10^{logarithm / np.log(10):.1f} : 1"


def table(made: Weighing) -> str:
    """A line for every hypothesis, the best first."""
    wide = max(10, *(len(name) for name in made.names))
    lines = [
        f"{'hypothesis':{wide}s} {'ln evidence':>11s} {'± motion':>8s} {'−BIC/2':>8s} "
        f"{'probability':>11s} {'residuals':>9s} {'found again':>11s} {'decides at':>10s}  parameters"
    ]
    apart, first = made.worlds.apart(made.unit), made.order[0]
    for n in made.order:
        found = made.found[n]
        factor = None if n == first else pair_factor(apart, first, n)
        decides = "" if factor is None else "no dose" if factor > FARTHEST else f"{factor:.2g} ×"
        lines.append(
            f"{made.names[n]:{wide}s} {made.evidence[n]:11.2f} {made.motion[n]:8.2f} {made.criterion[n]:8.2f} "
            f"{made.probabilities[n]:11.3g} {found.excess:9.3f} {100 * made.trials.chosen[n, n]:9.0f} % "
            f"{decides:>10s}  {made.hypotheses[n].says(found.state)}"
        )
    return "\n".join(lines)


def draw(made: Weighing, path: str | Path) -> None:
    """Draw evidences, simulated odds, the dose that decides, and of images what is left, as PNG."""
    shown = [n for n in made.order[:2] if isinstance(made.hypotheses[n], ImageHypothesis)]
    rows = 2 if len(shown) == 2 else 1
    figure = blank_figure(12.0, 3.9 * rows, dpi=110)
    axes = figure.subplots(rows, 3, squeeze=False)
    _evidences(axes[0, 0], made)
    _odds(axes[0, 1], made)
    _doses(axes[0, 2], made)
    if rows == 2:
        _left(figure, axes[1], made)
    figure.suptitle(verdict(made).replace("; ", "\n"), fontsize=9)
    figure.savefig(path)


def _evidences(axes: Any, made: Weighing) -> None:
    names = [made.names[n] for n in made.order]
    places = np.arange(len(names))
    error = made.motion[made.order]
    axes.barh(places - 0.18, made.evidence[made.order], 0.34, xerr=error, color="tab:blue", label="Laplace")
    axes.barh(places + 0.18, made.criterion[made.order], 0.34, color="0.6", label="−BIC/2")
    axes.axvline(-DECIDED, color="tab:red", lw=0.8, ls="--", label="odds 20 : 1")
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ln evidence above the best", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(fontsize=7, loc="upper left")


def _odds(axes: Any, made: Weighing) -> None:
    """Ln odds of the best over the second in simulated recordings of both."""
    first, second = made.order[:2]
    own, other = made.trials.odds(first, second), -made.trials.odds(second, first)
    values = np.concatenate([own, other, [made.margin]])
    edges = np.linspace(values.min() - 1e-6, values.max() + 1e-6, 22)
    for seen, name, colour in ((own, made.names[first], "tab:blue"), (other, made.names[second], "tab:orange")):
        axes.hist(seen, edges, alpha=0.6, color=colour, label=f"recordings of {name}")
    axes.axvline(made.margin, color="black", lw=1.4, label="measured")
    shaken = made.margin - made.shaken, made.margin + made.shaken
    axes.axvspan(*shaken, color="0.5", alpha=0.25, lw=0, label="± error by displacements")
    axes.axvline(0.0, color="0.5", lw=0.8, ls=":")
    axes.set_xlabel(f"ln odds of {made.names[first]} over {made.names[second]}", fontsize=8)
    axes.set_ylabel("simulated recordings", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)


def _doses(axes: Any, made: Weighing) -> None:
    """Share of recordings that decide rightly against dose."""
    apart, first, dose = made.worlds.apart(made.unit), made.order[0], made.dose
    scale = dose or 1.0
    factors = [pair_factor(apart, first, n) for n in made.order[1:]]
    known = [f for f in factors if f <= FARTHEST]
    if not known:
        axes.text(0.5, 0.5, "no dose tells them apart", ha="center", transform=axes.transAxes, fontsize=9)
        axes.set_axis_off()
        return
    steps = np.geomspace(min(0.05, 0.1 * min(known)), max(20.0, 3 * max(known)), 200)
    for n, factor in zip(made.order[1:], factors, strict=True):
        if factor <= FARTHEST:
            least = min(apart[first, n], apart[n, first])
            axes.semilogx(scale * steps, share_decided(least, steps), lw=1.3, label=f"against {made.names[n]}")
    for trials, mark in ((made.trials, "o"), (made.check, "s")):
        if trials is not None:
            share = float(np.min(np.diag(trials.decided)))
            axes.plot(scale * trials.factor, share, mark, color="black", label=f"simulated, {trials.factor:.2g} ×")
    axes.axvline(scale, color="0.5", lw=0.8, ls=":")
    axes.axhline(SHARE, color="tab:red", lw=0.8, ls="--")
    axes.set(ylim=(-0.03, 1.05))
    axes.set_xlabel("dose (e/Å²)" if dose else "dose over that of the recording", fontsize=8)
    axes.set_ylabel("share decided rightly, 20 : 1", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)


def _left(figure: Any, axes: Any, made: Weighing) -> None:
    """Of the first image: what each of the best two leaves, and what they differ by, in standard deviations."""
    from rhotem.experiment.fit.images.model import Model
    from rhotem.experiment.fit.images.refine import Noise

    noise = Noise(made.data[0])
    shape, shown = np.shape(made.data[0].values), []
    for n in made.order[:2]:
        hypothesis = made.hypotheses[n]
        assert isinstance(hypothesis, ImageHypothesis)
        shown.append(Model(hypothesis.response, list(made.data)).shown(made.found[n].state)[0])
    deviation = np.sqrt(np.maximum(shown[0], 1.0)) if made.data[0].counts else np.full_like(shown[0], noise.sigma)
    maps = [(noise.measured - image) / deviation for image in shown] + [(shown[0] - shown[1]) / deviation]
    names = [made.names[n] for n in made.order[:2]]
    words = [f"measured − {name}" for name in names] + [f"{names[0]} − {names[1]}"]
    for place, image, word in zip(axes, maps, words, strict=True):
        most = MOST if word.startswith("measured") else max(float(np.abs(image).max()), 1e-9)
        drawn = place.imshow(image.reshape(shape), cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        figure.colorbar(drawn, ax=place, shrink=0.8).ax.tick_params(labelsize=6)
        place.set_title(f"{made.data[0].name}: {word}, standard deviations", fontsize=8)
        place.set(xticks=[], yticks=[])
