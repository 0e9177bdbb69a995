"""How far a campaign is, from its library alone."""

import time
from typing import Any

from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.tally import duration
from rhotem.library.hold import holder

#: Seconds after which the last finished tasks tell no rate any more.
OLD = 3600.0


def record(ledger: Ledger) -> dict[str, Any]:
    """Counts, failures and rate, JSON-ready."""
    counts, recent = ledger.counts(), ledger.recent()
    running = holder(ledger.catalogue.folder)
    rate = None
    if running and len(recent) > 1 and time.time() - recent[0][0] < OLD:
        span = max(time.time() - recent[-1][0], 1e-3)
        rate = 3600.0 * len(recent) / span
    return {
        "campaign": ledger.name,
        **counts,
        "driver": running,
        "an_hour": rate,
        "hours_to_go": counts["waiting"] / rate if rate else None,
        "failures": [dict(zip(("id", "title", "reason"), row, strict=True)) for row in ledger.failures()],
    }


def lines(ledger: Ledger) -> list[str]:
    """The same in words."""
    said = record(ledger)
    total = sum(said[state] for state in ("done", "waiting", "failed", "cancelled"))
    parts = [f"{said[state]} {state}" for state in ("waiting", "failed", "cancelled") if said[state]]
    first = f"{ledger.name}: {said['done']} of {total} done" + "".join(f", {part}" for part in parts)
    if said["driver"]:
        first += f"; {said['driver']} is at work"
    if said["an_hour"] and said["waiting"]:
        first += f", {said['an_hour']:.0f} an hour, {duration(3600.0 * said['hours_to_go'])} to go"
    return [first, *(f"  failed: {row['id'][:8]} {row['title']}: {row['reason']}" for row in said["failures"])]
