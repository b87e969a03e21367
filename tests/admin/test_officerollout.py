"""Steps of a release: what gateways are told while it is held, and what is left when it goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.officerollout import Rollout, Rule, _shifted
from blocklists.online import WHOLE


def rollout(now: datetime, state: str = "going", held_at: datetime | None = None) -> Rollout:
    """5, 25, 100 per cent at 0, 20, 50 minutes."""
    return Rollout(7, 6, Rule().steps(0, int(now.timestamp())), now, state, "", held_at, None)


@pytest.mark.parametrize(("minutes", "share"), [(0, 500), (19, 500), (20, 2500), (49, 2500), (50, WHOLE)])
def test_share_grows_with_the_rule(now: datetime, minutes: int, share: int) -> None:
    """The rule's numbers; a first share that holds too few gateways is made larger, and the second never smaller."""
    assert rollout(now).share(now + timedelta(minutes=minutes)) == share
    assert [step[1] for step in Rule().steps(4000, 0)] == [4000, 4000, WHOLE]


def test_held_release_goes_no_further_and_on_from_where_it_was(now: datetime) -> None:
    """Held after 21 minutes for ten hours: the second share stays; let go, all gateways follow 29 minutes later."""
    held = rollout(now, "held", now + timedelta(minutes=21))
    later = now + timedelta(hours=10)
    assert (held.share(later), held.next_step(later)) == (2500, None)
    at = int(later.timestamp())
    waited = at - int((now + timedelta(minutes=21)).timestamp())
    assert _shifted(held, later) == ((at, 2500), (held.steps[2][0] + waited, WHOLE))


def test_release_held_from_its_beginning_is_told_to_nobody(now: datetime) -> None:
    """One behind another that is held: no share, and all of its steps when it goes on."""
    held = rollout(now, "held", now - timedelta(seconds=1))
    assert held.said() == ((int(now.timestamp()), 0),)
    assert held.share(now + timedelta(days=1)) == 0
    assert [share for _, share in _shifted(held, now + timedelta(hours=1))] == [500, 2500, WHOLE]
