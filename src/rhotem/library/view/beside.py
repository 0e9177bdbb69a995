"""Work beside the page's loop: what takes seconds is done in a thread of its own, and sliders answer meanwhile."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rhotem.core import RhoTEMError

if TYPE_CHECKING:
    from bokeh.document import Document

#: Searches of all windows at a time: each takes a core.
AT_ONCE = threading.BoundedSemaphore(1)


class Beside:
    """One piece of work at a time of one page.

    Parameters
    ----------
    doc : Document
        Results come back in its loop. One that no server shows has none: there all is done at once.
    failed : callable
        Told in one line why a piece of work came to nothing.
    """

    def __init__(self, doc: "Document", failed: Callable[[str], None]) -> None:
        self._doc, self._failed, self.busy = doc, failed, False

    def do(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do ``work``, which touches nothing of the page, in a thread; then ``done`` with its result in the loop."""
        self.busy = True
        if self._doc.session_context is None:
            self._finish(*_outcome(work), done)
            return

        def run() -> None:
            with AT_ONCE:
                found, why = _outcome(work)
            self._doc.add_next_tick_callback(lambda: self._finish(found, why, done))

        # a server that ends does not wait for it
        threading.Thread(target=run, name="rhotem-view-search", daemon=True).start()

    def _finish(self, found: Any, why: str, done: Callable[[Any], None]) -> None:
        self.busy = False
        if why:
            self._failed(why)
        else:
            done(found)


def _outcome(work: Callable[[], Any]) -> tuple[Any, str]:
    """What work gives, or why it gives nothing."""
    try:
        return work(), ""
    except RhoTEMError as error:
        return None, " ".join(str(error).split())
    except Exception as error:  # a thread that dies would leave a page that waits for ever
        return None, f"it could not be done ({type(error).__name__})"
