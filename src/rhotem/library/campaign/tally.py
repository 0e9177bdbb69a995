"""How a running campaign gets on."""

import time

from rhotem.library.campaign.task import Task


class Tally:
    """Counts of a run, its rate, and how busy its workers were.

    Parameters
    ----------
    counts : dict
        Tasks by state when it began.
    workers : int
    """

    def __init__(self, counts: dict[str, int], workers: int) -> None:
        self.total, self.before, self.workers = sum(counts.values()), counts["done"], workers
        self.to_do = counts["waiting"]
        #: tasks that failed in earlier runs
        self.given_up = counts.get("failed", 0)
        self.done = self.failed = 0
        #: processor time of what was done, s
        self.seconds = 0.0
        self.last = ""
        self._busy, self._began = 0.0, time.monotonic()
        self._started: dict[str, float] = {}

    def start(self, identifier: str) -> None:
        """A task was handed out."""
        self._started[identifier] = time.monotonic()

    def end(self, task: Task, state: str, reason: str, seconds: float) -> None:
        """A task is back: "done", "failed", or to be done "again"."""
        self._busy += time.monotonic() - self._started.pop(task.id)
        self.seconds += seconds
        self.done += state == "done"
        self.failed += state == "failed"
        self.last = f"{task.title}: {state}" + (f": {reason}" if reason else "")

    @property
    def elapsed(self) -> float:
        """Seconds on the clock."""
        return time.monotonic() - self._began

    @property
    def busy(self) -> float:
        """Part of the clock's time in which workers had a task, 0 to 1."""
        return min(1.0, self._busy / (self.workers * self.elapsed)) if self.elapsed > 0 else 0.0

    @property
    def rate(self) -> float | None:
        """Tasks an hour; None before the first."""
        ended = self.done + self.failed
        return 3600.0 * ended / self.elapsed if ended else None

    def __str__(self) -> str:
        ended = self.done + self.failed
        left = max(0, self.to_do - ended)
        text = f"{self.before + self.done} of {self.total} done" + (f", {self.failed} failed" if self.failed else "")
        if self.rate is None or not left:
            return text
        return f"{text}; {self.rate:.0f} an hour, {duration(3600.0 * left / self.rate)} to go"


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3.5 h, 2.1 days."""
    for limit, unit, name in ((90.0, 1.0, "s"), (5400.0, 60.0, "min"), (172800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{int(name == 'h')}f} {name}"
    return f"{seconds / 86400.0:.1f} days"
