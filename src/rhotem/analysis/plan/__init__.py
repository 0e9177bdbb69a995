"""The run as data: `Plan`, its files, its schema, and what identifies a result."""

from rhotem.analysis.plan.contents import FORMAT
from rhotem.analysis.plan.load import Recorded, load_plan, load_run, parse_plan
from rhotem.analysis.plan.model import Plan

__all__ = ["FORMAT", "Plan", "Recorded", "load_plan", "load_run", "parse_plan"]
