"""Signing on the office's own server: one release folder, unattended keys beside it, and what still waits for a signature.

Officers hold keys (`keybox`); every officer's key may sign the next root, approvers' keys sign the list, as many as the office wants. A
draft of the list, or of the next root, is kept until enough have signed it; a newer draft takes its place. Snapshot and timestamp are
signed by the server alone, and so is what it says by itself (`blocklists.online`), with a key that each signature on the list appoints.
Keys that were made by command and kept elsewhere (`lachan release init`) are left to the commands.

`Room` touches files only; who holds which key is told to it. Callers let one thread at a time in. Imported by `admin` and the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from blocklists.online import WHOLE, Statement
from blocklists.pairing import fingerprint_of
from blocklists.releasekeys import NEXT_ONLINE, ONLINE, UNATTENDED, key_file, load_server, load_signers, make_keys
from blocklists.releases import Keys, Listing, Repository, online_key_of, sealing_keys_of
from blocklists.sealing import KEYS_FILE, SealError, is_in_use, read_keys
from blocklists.sealing import Keys as SealingKeys
from gateway.release import replace_file

REFRESH_AFTER: Final = timedelta(days=1)
RENEW_BEFORE: Final = timedelta(days=21)
"""How long before its end people are told that the list must be signed anew."""
ROOT_RENEW_BEFORE: Final = timedelta(days=60)
MOST_BEFORE: Final = 8
"""How many releases before the newest one a list names, for gateways that wait for their stage."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Who should hold the keys: officers' keys may sign the next root, approvers' the list, `threshold` of them together."""

    officers: tuple[Key, ...]
    approvers: tuple[Key, ...]
    threshold: int

    def keys(self, unattended: Mapping[str, Key]) -> Keys:
        """As a root appoints them. From three officers on, two must sign a new root; below, a forgotten passphrase would end it."""
        roles: dict[str, tuple[Key, ...]] = {Root.type: self.officers, Targets.type: self.approvers}
        roles |= {role: (key,) for role, key in unattended.items()}
        needed = max(1, min(self.threshold, len(self.approvers)))
        return Keys(roles, {Root.type: 2 if len(self.officers) > 2 else 1, Targets.type: needed})


@dataclass(frozen=True, slots=True)
class Draft:
    """What waits for signatures: of a list its serial, of a root its version; the ids of the keys that signed, how many must, whose
    signature counts, and how many of those needed are there."""

    number: int
    signed_by: frozenset[str]
    needed: int
    able: frozenset[str]
    have: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How signing stands. `by_command`: the keys are kept elsewhere. `ends`: when the approvers' signature expires."""

    is_begun: bool = False
    by_command: bool = False
    serial: int | None = None
    root_version: int = 0
    fingerprint: str = ""
    targets_keys: frozenset[str] = frozenset()
    root_keys: frozenset[str] = frozenset()
    threshold: int = 1
    ends: datetime | None = None
    root_ends: datetime | None = None
    release: Draft | None = None
    root: Draft | None = None
    #: The id of the key that the list appoints for what the server says by itself, and whether another waits to be appointed.
    server_key: str = ""
    server_waits: bool = False

    def wants_renewal(self, now: datetime) -> bool:
        """Whether the same list should be signed anew soon."""
        return self.ends is not None and self.ends - now < RENEW_BEFORE

    def waits_for(self, keyid: str, behind: bool, now: datetime) -> bool:
        """Whether something waits for the signature of this key: a change of keys, or the list, new or anew."""
        if self.root is not None and keyid in self.root.able - self.root.signed_by:
            return True
        signed = self.release is not None and keyid in self.release.signed_by
        is_due = behind or self.release is not None or self.wants_renewal(now) or (self.server_waits and self.serial is not None)
        return keyid in self.targets_keys and not signed and is_due


class Room:
    """The release folder of this server and its drafts."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.repository = Repository(state_dir / "release")
        self._keys = state_dir / "keys"
        self._drafts = state_dir / "signing"

    def standing(self) -> Standing:
        """How it stands now."""
        repository = self.repository
        if not repository.is_begun():
            return Standing()
        root, targets = repository.root().signed, repository.newest_targets().signed
        first = (repository.metadata / "1.root.json").read_bytes()
        draft, next_root = self._release_draft(), self._root_draft()
        threshold = root.roles[Targets.type].threshold
        return Standing(
            is_begun=True,
            by_command=(self._keys / "root.pem").exists() or not self._has_unattended(),
            serial=repository.serial(),
            root_version=root.version,
            fingerprint=fingerprint_of(first),
            targets_keys=frozenset(root.roles[Targets.type].keyids),
            root_keys=frozenset(root.roles[Root.type].keyids),
            threshold=threshold,
            ends=targets.expires,
            root_ends=root.expires,
            release=None
            if draft is None
            else Draft(
                _serial(draft),
                frozenset(draft.signatures),
                threshold,
                frozenset(root.roles[Targets.type].keyids),
                len(draft.signatures),
            ),
            root=None if next_root is None else self._waiting_root(root, next_root),
            server_key=repository.online_key(),
            server_waits=self._server_waits(),
        )

    def begin(self, holders: Holders, signer: CryptoSigner, now: datetime) -> None:
        """The first root, of the first approver alone, who then admits whoever has a key already. Raises ReleaseError or KeyFileError."""
        make_keys(self._keys, None, (*UNATTENDED, ONLINE))
        signers: dict[str, list[Any]] = dict(load_signers(self._keys, UNATTENDED))  # Any: signers of either kind
        signers |= {Root.type: [signer], Targets.type: [signer]}
        alone = Holders((signer.public_key,), (signer.public_key,), 1)
        self.repository.initialise(alone.keys(self._unattended()), signers, now)
        self.want(holders, now)
        self.sign_root(signer, now)

    def want(self, holders: Holders, now: datetime) -> None:
        """Draft the next root when the keys that are appointed are not those that should be, or the root ends soon; else drop the draft.
        A draft for other keys than these is never left."""
        self._finish(now)
        root = self.repository.root().signed
        wanted = holders.keys(self._unattended())
        if not holders.officers or not holders.approvers:
            (self._drafts / "root.json").unlink(missing_ok=True)
            return  # a root that nobody could ever follow is never drafted
        if _is_same(root, wanted) and root.expires - now > ROOT_RENEW_BEFORE:
            (self._drafts / "root.json").unlink(missing_ok=True)
            return
        draft = self._root_draft()
        if draft is None or not _is_same(draft.signed, wanted):
            self._keep("root.json", self.repository.next_root(wanted, now))

    def _finish(self, now: datetime) -> None:
        """Publish the list that was signed along with a root, where the root went out and the list did not: the power failed, or the disk
        was full."""
        renewal = self._current(self._load("renewal.json"))
        root = self.repository.root().signed
        if renewal is not None and not _judge(root, self.repository.newest_targets()) and _judge(root, renewal):
            self._sign_off(renewal, now)
            (self._drafts / "renewal.json").unlink(missing_ok=True)

    def sign_root(self, signer: CryptoSigner, now: datetime) -> bool:
        """Sign the next root; whether it is appointed now. Where the list in force would not be signed enough under it, the same list is
        signed along, and both go out together: no follower ever meets a root without its list."""
        draft = self._root_draft()
        if draft is None:
            return False
        draft.sign(signer, append=True)
        renewal: Metadata[Targets] | None = None
        if not _judge(draft.signed, self.repository.newest_targets()):
            renewal = self._current(self._load("renewal.json")) or self.repository.redraft(now, self._server())
            if signer.public_key.keyid in draft.signed.roles[Targets.type].keyids:
                renewal.sign(signer, append=True)
        if not self.repository.may_appoint(draft) or (renewal is not None and not _judge(draft.signed, renewal)):
            self._keep("root.json", draft)
            if renewal is not None:
                self._keep("renewal.json", renewal)
            return False
        if renewal is not None:
            self._keep("renewal.json", renewal)  # whole: what is cut off from here on is finished by `want`
        self.repository.appoint(draft)
        if renewal is not None:
            self._sign_off(renewal, now)
        for name in ("root.json", "renewal.json"):
            (self._drafts / name).unlink(missing_ok=True)
        return True

    def sign_release(
        self, listing: Listing | None, read: Callable[[str], bytes], signer: CryptoSigner, now: datetime, statement: Statement | None = None
    ) -> bool:
        """Sign the newest list (the same one anew when there is no newer); whether it is published now. With it goes out what the server
        says by itself from then on; a list that it sends out in stages names those before it. Raises ReleaseError."""
        newest, draft = self.repository.serial(), self._release_draft()
        is_news = listing is not None and (newest is None or listing.serial > newest)
        wanted = listing.serial if is_news and listing is not None else newest or 0
        if draft is None or _serial(draft) != wanted or draft.signed.expires - now < RENEW_BEFORE:
            if is_news and listing is not None:
                draft = self._draft(listing, read, statement, now)
            else:
                draft = self.repository.redraft(now, self._server())
                self.repository.reseal(draft, read, partial(is_in_use, self._sealing_keys()))
        draft.sign(signer, append=True)
        if not self.repository.is_enough(draft):
            self._keep("targets.json", draft)
            return False
        self._sign_off(draft, now, statement)
        (self._drafts / "targets.json").unlink(missing_ok=True)
        return True

    def refresh(self, now: datetime) -> bool:
        """Sign once a day that nothing is new; whether it did."""
        repository = self.repository
        if not repository.is_begun() or not self._has_unattended():
            return False
        if repository.unattended_since(now) < REFRESH_AFTER:
            return False
        repository.refresh(load_server(self._keys), now)
        return True

    def say(self, statement: Statement, now: datetime) -> bool:
        """Publish what the server says by itself, where it is not published yet and the list appoints its key; whether it did."""
        repository = self.repository
        if not repository.is_begun() or not repository.online_key() or repository.statement().to_bytes() == statement.to_bytes():
            return False
        repository.say(statement, load_server(self._keys), now)
        return True

    def renew_server_key(self) -> None:
        """Make another key for what the server says by itself; with the officers' next signature it takes the place of the present one,
        whose signatures are worth nothing then. Raises KeyFileError."""
        key_file(self._keys, NEXT_ONLINE).unlink(missing_ok=True)
        make_keys(self._keys, None, (NEXT_ONLINE,))

    def complete_keys(self) -> None:
        """Make the key of the online role where an older version began the office without it. Raises KeyFileError."""
        make_keys(self._keys, None, (ONLINE,))

    def _draft(self, listing: Listing, read: Callable[[str], bytes], statement: Statement | None, now: datetime) -> Metadata[Targets]:
        at = now.timestamp()
        if statement is None or listing.serial not in statement.stages:
            wanted = replace(listing, at_once=True)
        else:
            wanted = replace(listing, before=self._before(statement, at))
        return self.repository.draft(wanted, read, now, self._server(), partial(is_in_use, self._sealing_keys()))

    def _before(self, statement: Statement, at: float) -> tuple[Listing, ...]:
        """The releases in which a gateway may have to wait: those that go out still, and the newest that everybody takes."""
        published = self.repository.listing()
        found: list[Listing] = []
        for one in (published, *published.before) if published is not None else ():
            found.append(replace(one, before=()))
            if one.at_once or statement.share(one.serial, at) >= WHOLE:
                break
        return tuple(found[-MOST_BEFORE:])

    def _sign_off(self, targets: Metadata[Targets], now: datetime, statement: Statement | None = None) -> None:
        """Publish, and let go of the online key that the list appoints no longer."""
        self.repository.sign_off(targets, load_server(self._keys), now, statement)
        waiting = key_file(self._keys, NEXT_ONLINE)
        if waiting.exists() and not self._server_waits():
            waiting.replace(key_file(self._keys, ONLINE))

    def _server(self) -> Key | None:
        """The key that the next signature appoints for the online role; none where there is none."""
        name = next((name for name in (NEXT_ONLINE, ONLINE) if key_file(self._keys, name).exists()), None)
        return None if name is None else load_signers(self._keys, [name])[name][0].public_key

    def _sealing_keys(self) -> SealingKeys:
        return read_keys(self.state_dir / KEYS_FILE)

    def _server_waits(self) -> bool:
        server = self._server()
        return server is not None and server.keyid != self.repository.online_key()

    def _waiting_root(self, root: Root, draft: Metadata[Root]) -> Draft:
        """A signature counts for the root in force, for the next one, and for the list where it goes out along: what lacks most is told."""
        judged = [(one.roles[Root.type], draft.signatures) for one in (root, draft.signed)]
        if not _judge(draft.signed, self.repository.newest_targets()):
            renewal = self._current(self._load("renewal.json"))
            judged.append((draft.signed.roles[Targets.type], renewal.signatures if renewal is not None else {}))
        needed = max(role.threshold for role, _ in judged)
        missing = max(role.threshold - len(set(role.keyids) & set(signed)) for role, signed in judged)
        able = frozenset(key for role, _ in judged[:2] for key in role.keyids)
        return Draft(draft.signed.version, frozenset(draft.signatures), needed, able, min(needed, needed - missing))

    def _unattended(self) -> dict[str, Key]:
        return {role: signers[0].public_key for role, signers in load_signers(self._keys, UNATTENDED).items()}

    def _has_unattended(self) -> bool:
        return all((self._keys / f"{role}.pem").exists() for role in UNATTENDED)

    def _release_draft(self) -> Metadata[Targets] | None:
        """The draft of the next list; none when another was published meanwhile."""
        draft = self._current(self._load("targets.json"))
        if draft is None:
            return None
        appointed = set(self.repository.root().signed.roles[Targets.type].keyids)
        for keyid in [keyid for keyid in draft.signatures if keyid not in appointed]:
            del draft.signatures[keyid]
        return draft

    def _current(self, draft: Metadata[Targets] | None) -> Metadata[Targets] | None:
        """A draft of the list, unless another was published meanwhile, it appoints a key of the server that is not the newest, or it seals
        something new with a key that a gateway has which was taken off since."""
        published = self.repository.newest_targets().signed
        if draft is None or draft.signed.version != published.version + 1:
            return None
        fresh = {name: one for name, one in draft.signed.targets.items() if name not in published.targets or published.targets[name] != one}
        try:
            newest = set(list(self._sealing_keys())[:1])
        except SealError:
            newest = set()
        if sealing_keys_of(fresh) - newest:
            return None
        server = self._server()
        return draft if server is None or online_key_of(draft.signed) == server.keyid else None

    def _root_draft(self) -> Metadata[Root] | None:
        draft = self._load("root.json")
        return None if draft is None or draft.signed.version != self.repository.root().signed.version + 1 else draft

    def _load(self, name: str) -> Metadata[Any] | None:  # Any: of either role; the file's name says which
        try:
            return Metadata.from_bytes((self._drafts / name).read_bytes())
        except (RepositoryError, OSError, ValueError):
            return None

    def _keep(self, name: str, metadata: Metadata[Any]) -> None:  # Any: of either role
        self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._drafts / name, metadata.to_bytes(JSONSerializer(compact=True)))


def _judge(root: Root, targets: Metadata[Targets]) -> bool:
    """Whether a list is signed enough under a root."""
    return bool(root.get_verification_result(Targets.type, targets.signed_bytes, targets.signatures))


def _serial(draft: Metadata[Targets]) -> int:
    found = draft.signed.targets.get("list.json")
    return 0 if found is None else int(found.custom["serial"])


def _is_same(root: Root, wanted: Keys) -> bool:
    """Whether a root appoints exactly these keys."""

    def ids(keys: Iterable[Key]) -> set[str]:
        return {key.keyid for key in keys}

    roles = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
    return all(
        set(root.roles[role].keyids) == ids(wanted.roles.get(role, ())) and root.roles[role].threshold == wanted.threshold(role)
        for role in roles
    )
