"""Progress is a value that anybody may ignore."""

from __future__ import annotations

import pickle

from blocklists.progress import Progress, silent


def test_progress_travels_between_processes_and_may_be_ignored() -> None:
    """A step can be sent from a preparing process; hearing nothing is a listener too."""
    step = Progress("parse", "bet", 1, 2)
    assert pickle.loads(pickle.dumps(step)) == step
    silent(step)
