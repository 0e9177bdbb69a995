"""The digital twin of one specimen: what was measured, fitted and said of it over time (docs/twin.md).

`Twin` is the record in a folder, `watch` adds and fits what a session writes.
"""

from rhotem.experiment.twin.quantities import Number, parse_number
from rhotem.experiment.twin.store import Entry, Twin
from rhotem.experiment.twin.watch import Watched, watch

__all__ = ["Entry", "Number", "Twin", "Watched", "parse_number", "watch"]
