"""What "open more" offers, in a parent's words: games, films, social networks, messages, each of them some groups of content.

`gather` says a list of opened things in the same words again. Pure; imported by the pages of profiles and by the renderer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from admin.values import TargetKind

#: The picture and the groups of each.
TREATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "games": ("apps", ("game", "game00", "game12", "game16", "game18")),
    "videos": ("play", ("video", "short", "live")),
    "social": ("people", ("social",)),
    "chat": ("chat", ("chat",)),
}
TREAT = "treat"


def gather(targets: Sequence[tuple[TargetKind, str]]) -> list[tuple[str, str]]:
    """The things as people chose them: a treat by its name, however many of its groups this age leaves; everything else by its own."""
    left = list(targets)
    found: list[tuple[str, str]] = []
    for name, (_, codes) in TREATS.items():
        own = [target for target in left if target[0] is TargetKind.CATEGORY and target[1] in codes]
        if len(own) >= min(2, len(codes)):
            found.append((TREAT, name))
            left = [target for target in left if target not in own]
    return [*found, *((kind.value, value) for kind, value in left)]
