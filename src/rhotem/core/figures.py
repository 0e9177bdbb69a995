"""Figures that are drawn into files, without a screen."""

from typing import Any


def blank_figure(width: float, height: float, dpi: int = 130) -> Any:
    """An empty figure (inches) whose panels make room for their labels; ``savefig`` writes it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
