"""How far a campaign is: done, failed with reasons, rejected by quality, rate and time to go."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rhotem.core.claims import is_held
from rhotem.labels.job import read_jobs
from rhotem.labels.quality import judge_file


@dataclass
class Status:
    """Counts of a directory of runs.

    ``rate`` is labels per hour over the last twenty runs, ``hours_left`` what that means for the jobs to do (None
    before anything was done). ``failed``, ``quarantined`` and ``rejected`` map job identifiers to reasons, ``warnings``
    identifiers of labels that are used to what is to be looked at.
    """

    listed: int = 0
    accepted: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    rate: float | None = None
    hours_left: float | None = None

    def lines(self, names: dict[str, str] | None = None) -> list[str]:
        """The status in words."""
        names = names or {}
        left = self.listed - len(self.accepted) - len(self.failed) - len(self.quarantined) - len(self.rejected)
        out = [
            f"{self.listed} jobs: {len(self.accepted)} labels accepted, {len(self.quarantined)} quarantined, "
            f"{len(self.rejected)} rejected, {len(self.failed)} failed, {len(self.running)} running, "
            f"{max(left, 0)} to go; {self.retries} repeated self-consistency attempts"
        ]
        if self.rate is not None:
            out.append(f"{self.rate:.1f} labels per hour, {self.hours_left:.1f} h to go")
        groups = ("failed", "quarantined", "rejected", "warnings")
        for title, group in ((name.removesuffix("s"), getattr(self, name)) for name in groups):
            out += [f"{title}: {key} {names.get(key, '')}: {reason}" for key, reason in sorted(group.items())]
        return out


def status(directory: Path) -> Status:
    """Look at everything in a directory of runs; reads every record."""
    listed = directory / "jobs.jsonl"
    found = Status(listed=len(read_jobs(listed)) if listed.exists() else 0)
    for path in sorted((directory / "records").glob("[!.]*.npz")):
        _, verdict = judge_file(path)
        if verdict.state == "accepted":
            found.accepted.append(path.stem)
        else:
            getattr(found, verdict.state)[path.stem] = "; ".join(verdict.reasons)
        if verdict.warnings:
            found.warnings[path.stem] = "; ".join(verdict.warnings)
    for path in sorted((directory / "failed").glob("[!.]*.json")):
        found.failed[path.stem] = json.loads(path.read_text())["reason"]
    found.running = [p.stem for p in sorted((directory / "claims").glob("[!.]*.json")) if is_held(p)]
    _rates(directory, found)
    return found


def names_of(directory: Path) -> dict[str, str]:
    """Names of the listed jobs by identifier."""
    listed = directory / "jobs.jsonl"
    return {j.id: j.info.get("name", "") for j in read_jobs(listed)} if listed.exists() else {}


def _rates(directory: Path, found: Status) -> None:
    journal = directory / "journal.jsonl"
    if not journal.exists():
        return
    events = []
    for line in journal.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue  # a line cut off by a kill
    found.retries = Counter(e["event"] for e in events)["retry"]
    started = {e["id"]: e["at"] for e in events if e["event"] == "start"}
    ends = [e for e in events if e["event"] in ("done", "failed") and e["id"] in started][-20:]
    busy = sum(e["at"] - started[e["id"]] for e in ends)
    done = sum(e["event"] == "done" for e in ends)
    if done and busy > 0:
        found.rate = 3600.0 * done * max(1, len(found.running)) / busy
        left = found.listed - len(found.accepted) - len(found.failed) - len(found.quarantined) - len(found.rejected)
        found.hours_left = max(left, 0) / found.rate
