"""Bokeh, imported when it is used; its models are made at run time, so that no type checker sees their fields."""

from typing import Any


def models() -> Any:
    """Widgets, sources and annotations."""
    from bokeh import models

    return models


def figure(**options: Any) -> Any:
    """An empty plot."""
    from bokeh.plotting import figure

    return figure(**options)
