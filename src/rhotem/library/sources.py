"""Sources of densities that many tasks share: each is loaded once."""

import json
from typing import Any

from rhotem.analysis.plan import Plan
from rhotem.analysis.sources import memory_options, source_options
from rhotem.analysis.workflow import described
from rhotem.density.source import DensitySource, default_source, get_source


class Sources:
    """Sources by what a plan says of its density; the last one is kept."""

    def __init__(self) -> None:
        self._key = ""
        self._source: Any = None

    def of(self, plan: Plan) -> DensitySource:
        """The source of a plan."""
        key = json.dumps([plan.density.model_dump(mode="json"), plan.memory])
        if key != self._key:
            name = str(plan.density.source or default_source())
            told = memory_options(name, plan.memory, lambda text: None)
            self._source, self._key = get_source(name, **source_options(name, **described(plan)), **told), key
        source: DensitySource = self._source
        return source
