"""What became of the tasks of campaigns, in the catalogue."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from rhotem.core import InputError
from rhotem.library.campaign.task import Task
from rhotem.library.catalogue.catalogue import Catalogue
from rhotem.library.catalogue.tables import campaigns, entries, tasks

#: States of a task.
STATES = ("done", "waiting", "failed", "cancelled")
#: Rows that one statement inserts.
MANY = 500


@dataclass(frozen=True, eq=False)
class Ledger:
    """The tasks of one campaign.

    Parameters
    ----------
    catalogue : Catalogue
    name : str
        Of the campaign.
    """

    catalogue: Catalogue
    name: str

    @classmethod
    def named(cls, catalogue: Catalogue, name: str | None) -> "Ledger":
        """That of a campaign; None: the only one.

        Raises
        ------
        InputError
            If there is none of that name, or several and none was named.
        """
        with catalogue.begin() as connection:
            known = list(connection.execute(select(campaigns.c.name).order_by(campaigns.c.created)).scalars())
        if name is None and len(known) == 1:
            name = known[0]
        if name not in known:
            what = "no campaign" if name is None and not known else f"no campaign {name}" if name else "several"
            listed = ", ".join(known) or "none; `rhotem campaign run PLAN.yaml` starts one"
            raise InputError(f"{catalogue.folder}: {what}; there are {listed}")
        return cls(catalogue, str(name))

    def begin(self, plan: str, listed: Sequence[Task]) -> None:
        """Note a campaign and its tasks; those that the library has already are done.

        Raises
        ------
        InputError
            If a campaign of that name has other tasks.
        """
        with self.catalogue.begin() as connection:
            there = set(connection.execute(select(tasks.c.id).where(tasks.c.campaign == self.name)).scalars())
            if there and there != {task.id for task in listed}:
                raise InputError(
                    f"campaign {self.name}: the library has one of that name with other tasks; give this one another "
                    "name: what both share is not done again"
                )
            if there:  # limits and paths may have changed, which decide no result
                self._anew(connection, plan, listed)
                return
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            connection.execute(insert(campaigns).values(name=self.name, plan=plan, created=now))
            rows = [self._row(number, task) for number, task in enumerate(listed)]
            for first in range(0, len(rows), MANY):
                connection.execute(insert(tasks), rows[first : first + MANY])
        self.settle()

    def _anew(self, connection: Any, plan: str, listed: Sequence[Task]) -> None:
        """The same tasks as a changed plan has them."""
        connection.execute(update(campaigns).where(campaigns.c.name == self.name).values(plan=plan))
        here = (tasks.c.campaign == self.name, tasks.c.id == bindparam("task"), tasks.c.state != "done")
        rows = [{"task": task.id, "said": task.to_json()} for task in listed]
        for first in range(0, len(rows), MANY):
            connection.execute(update(tasks).where(*here).values(spec=bindparam("said")), rows[first : first + MANY])

    def _row(self, number: int, task: Task) -> dict[str, Any]:
        return {
            "campaign": self.name,
            "id": task.id,
            "number": number,
            "title": task.title,
            "spec": task.to_json(),
            "state": "waiting",
            "reason": "",
            "attempts": 0,
            "seconds": 0.0,
            "finished": None,
        }

    def settle(self) -> None:
        """Tasks whose entry is there are done; those whose entry has gone are waiting."""
        there = select(entries.c.id)
        with self.catalogue.begin() as connection:
            mine = update(tasks).where(tasks.c.campaign == self.name)
            connection.execute(
                mine.where(tasks.c.state != "done", tasks.c.id.in_(there)).values(state="done", reason="")
            )
            connection.execute(
                mine.where(tasks.c.state == "done", tasks.c.id.not_in(there)).values(state="waiting", attempts=0)
            )

    def next(self, without: Collection[str]) -> Task | None:
        """The next task to do that is not among some."""
        asked = select(tasks.c.spec).where(
            tasks.c.campaign == self.name, tasks.c.state == "waiting", tasks.c.id.not_in(list(without))
        )
        with self.catalogue.begin() as connection:
            spec = connection.execute(asked.order_by(tasks.c.number).limit(1)).scalar_one_or_none()
        return None if spec is None else Task.from_json(spec)

    def finish(self, identifier: str, described: dict[str, Any], seconds: float) -> None:
        """An entry is there: catalogue it, and every campaign that has its task says so."""
        with self.catalogue.begin() as connection:
            self.catalogue.add_within(connection, described)
            connection.execute(
                update(tasks)
                .where(tasks.c.id == identifier)
                .values(state="done", reason="", seconds=seconds, finished=time.time(), attempts=tasks.c.attempts + 1)
            )

    def fail(self, identifier: str, reason: str, seconds: float, most: int) -> bool:
        """Note that a task failed; whether it is tried again, as it was less than ``most`` times."""
        here = (tasks.c.campaign == self.name, tasks.c.id == identifier)
        with self.catalogue.begin() as connection:
            tried = 1 + connection.execute(select(tasks.c.attempts).where(*here)).scalar_one()
            again = tried < most
            values = {"attempts": tried, "reason": reason[:2000], "seconds": seconds, "finished": time.time()}
            connection.execute(update(tasks).where(*here).values(state="waiting" if again else "failed", **values))
        return again

    def change(self, states: Sequence[str], to: str) -> int:
        """Give tasks of some states another one; how many there were."""
        with self.catalogue.begin() as connection:
            asked = update(tasks).where(tasks.c.campaign == self.name, tasks.c.state.in_(states))
            return int(connection.execute(asked.values(state=to, attempts=0)).rowcount)

    def counts(self) -> dict[str, int]:
        """How many tasks are in each state."""
        asked = select(tasks.c.state, func.count()).where(tasks.c.campaign == self.name).group_by(tasks.c.state)
        with self.catalogue.begin() as connection:
            known = {state: int(number) for state, number in connection.execute(asked)}
        return {state: known.get(state, 0) for state in STATES}

    def failures(self) -> list[tuple[str, str, str]]:
        """Identifier, title and reason of what failed, in the order of the plan."""
        asked = select(tasks.c.id, tasks.c.title, tasks.c.reason).where(
            tasks.c.campaign == self.name, tasks.c.state == "failed"
        )
        with self.catalogue.begin() as connection:
            return [(row.id, row.title, row.reason) for row in connection.execute(asked.order_by(tasks.c.number))]

    def recent(self, number: int = 20) -> list[tuple[float, float]]:
        """When the last tasks ended (s since 1970), and the processor time of each in s; latest first."""
        asked = select(tasks.c.finished, tasks.c.seconds).where(
            tasks.c.campaign == self.name, tasks.c.finished.is_not(None)
        )
        with self.catalogue.begin() as connection:
            rows = connection.execute(asked.order_by(tasks.c.finished.desc()).limit(number))
            return [(float(row.finished), float(row.seconds)) for row in rows]

    def plan(self) -> str:
        """The campaign's plan as JSON."""
        with self.catalogue.begin() as connection:
            return str(connection.execute(select(campaigns.c.plan).where(campaigns.c.name == self.name)).scalar_one())


def ledgers(catalogue: Catalogue) -> list[Ledger]:
    """Those of all campaigns, the oldest first."""
    with catalogue.begin() as connection:
        known = connection.execute(select(campaigns.c.name).order_by(campaigns.c.created)).scalars()
        return [Ledger(catalogue, name) for name in known]
