"""A driver of fake tasks, to be killed: ``fake_driver.py LIBRARY``."""

import sys
from pathlib import Path

from rhotem.library.campaign.driver import Crew, drive
from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.model import Limits
from rhotem.library.store import Library

WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))

if __name__ == "__main__":
    with Library.open(sys.argv[1], write=True) as library:
        print("open", flush=True)
        drive(Ledger.named(library.catalogue, None), Limits(), Crew(2, command=WORKER))
