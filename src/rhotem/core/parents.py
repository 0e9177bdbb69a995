"""Processes that end with the one that started them."""

import os
import threading
import time

#: Exit code of a process whose parent is gone.
ORPHAN = 5


def end_with(parent: int, every: float = 1.0) -> None:
    """Stop this process when ``parent`` is gone, however it went and be it before this: orphans work unseen."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(ORPHAN)

    threading.Thread(target=watch, daemon=True).start()
