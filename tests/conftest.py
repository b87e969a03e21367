"""What every test shares: nothing leaves this machine, and in the full run nothing is skipped."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import hypothesis
import pytest

# How long an example takes says how busy the machine is, not whether the product is right.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

FULL = os.environ.get("LACHAN_FULL") == "1"
SOAK = os.environ.get("LACHAN_SOAK") == "1"
_real_connect = socket.socket.connect


GIVEN = {
    "LACHAN_TEST_LISTS": "a folder of published lists; every file is loaded and counted",
    "LACHAN_TEST_CONTAINER": "a base image with Python 3.11; the container is built, run, upgraded and removed by podman (LACHAN_ENGINE)",
}
"""What a run may be given by settings. What is not given is left out, and the end of the run says so."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was given and what was not, so that nobody takes the tests that were left out for passed ones (-q shows no header)."""
    for name, what in GIVEN.items():
        given = os.environ.get(name)
        terminalreporter.write_line(f"given: {name}={given}" if given else f"not given, so not tried: {name} ({what})")


def is_left_out(item: pytest.Item) -> bool:
    """Whether a test waits for `make soak`, or for something that was not given."""
    given = item.get_closest_marker("given")
    return (not SOAK and item.get_closest_marker("soak") is not None) or (given is not None and not os.environ.get(given.args[0]))


#: Files that take minutes, the longest first: begun last, one of them would keep one processor busy while the others wait for the end.
LONG = tuple(
    """
    lachan/test_following browser/test_every_page browser/test_office_pages deploy/test_install lachan/test_lastgood browser/test_walks
    test_ten_gateways test_end_to_end admin/test_enforced admin/routes/test_officerollout gateway/policy/test_engine browser/test_api_schema
    browser/test_phone_pages browser/test_recovery_sheet browser/test_further_roles lachan/test_lists_command browser/test_second_resolver
    test_first_run browser/test_family_pages test_policy_zones_and_bind gateway/test_worker browser/test_joining_pages test_full_disk
    test_identity test_office_keeps_little test_starting gateway/test_standin browser/test_by_hand test_zones_from_primaries
    browser/test_key_walk admin/routes/test_apieverywhere browser/test_rollout_pages admin/test_access gateway/upstreams/test_selector
    admin/test_watching admin/test_process lachan/test_main lachan/test_run network/test_named_upstreams deploy/test_prometheus
    lachan/test_sampling lachan/test_joining test_taking_over gateway/test_supervisor test_siege
    """.split()  # noqa: SIM905
)


def rank(item: pytest.Item) -> int:
    """Where the file of a test stands in LONG; behind its end for all others."""
    path = item.path.with_suffix("").as_posix()
    return next((place for place, name in enumerate(LONG) if path.endswith(f"/tests/{name}")), len(LONG))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for this run, and begin with the files that take longest."""
    config.hook.pytest_deselected(items=[item for item in items if is_left_out(item)])
    items[:] = sorted((item for item in items if not is_left_out(item)), key=rank)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: many a test waits for a clock, a browser or another program."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Collecting makes only what stays."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ten thousand tests and their modules need not be walked through by each round of the collector: a quarter of all processor time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """In the full run (LACHAN_FULL=1) a skipped test is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result
    if FULL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"LACHAN_FULL=1 allows no skip: {reason}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of this run (`tests.support.postgres.Server`)."""
    from tests.support.postgres import is_installed, postgres_server

    if not is_installed():
        pytest.skip("no PostgreSQL here")
    with postgres_server() as server:
        yield server


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse connections that leave this machine, so that no test depends on a network."""
    socket.socket.connect = _connect_here  # type: ignore[method-assign]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the sockets back as they were."""
    socket.socket.connect = _real_connect  # type: ignore[method-assign]


def _connect_here(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = ip_address(str(address[0]).partition("%")[0])
        if not host.is_loopback and host != _DOCUMENTATION:
            raise AssertionError(f"a test connects to {host}")
    _real_connect(self, address)


_DOCUMENTATION = ip_address("192.0.2.1")
"""Connecting a datagram socket to a documentation address sends nothing; it only tells a local address."""
