"""An approver's sealed key: only its passphrase opens it, however the letters were typed, and no part of the box can be changed."""

from __future__ import annotations

import json

import pytest

from blocklists.keybox import WrongPassphrase, make_box, open_box

PHRASE = "mây tím cưỡi trâu"


def test_box_opens_by_its_passphrase_alone() -> None:
    """The same key comes out, typed composed or decomposed; another passphrase, or a changed box, opens nothing and tells nothing."""
    signer, box = make_box(PHRASE)
    assert open_box(box, PHRASE).public_key == signer.public_key
    assert open_box(box, "mây tím cươ\u0303i trâu").public_key == signer.public_key
    for wrong in ("", "mây tím cưỡi bò"):
        with pytest.raises(WrongPassphrase) as refused:
            open_box(box, wrong)
        assert not wrong or wrong not in str(refused.value)
    document = json.loads(box)
    other = json.loads(make_box(PHRASE)[1])
    for change in ({"public": other["public"]}, {"sealed": other["sealed"]}, {"nonce": "zz"}, {"salt": other["salt"]}):
        with pytest.raises(WrongPassphrase):
            open_box(json.dumps(document | change).encode(), PHRASE)
    assert bytes.fromhex(document["sealed"]) != bytes.fromhex(document["public"])
    with pytest.raises(WrongPassphrase):
        open_box(b"\xff", PHRASE)
