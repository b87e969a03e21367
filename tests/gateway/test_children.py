"""Forking out of an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from gateway.children import CRASHED, ForkingLoop, describe_exit, silence_descriptors


def test_fork_gives_exit_status_and_a_clean_child() -> None:
    """The child holds no descriptor but the wanted ones, no handler and no loop; its return value is its status."""
    kept, unwanted = socket.socketpair()
    report, mouth = os.pipe()

    def body() -> int:
        links = {
            int(fd): os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")
        }
        sockets = [fd for fd, link in links.items() if link.startswith("socket:") and fd > 2]
        epolls = [fd for fd, link in links.items() if "eventpoll" in link]
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT)]
        fine = (
            sockets == [kept.fileno()]
            and not epolls
            and handlers == [signal.SIG_DFL, signal.SIG_DFL, signal.SIG_IGN]
            and not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        )
        asyncio.run(asyncio.sleep(0))
        os.write(mouth, b"fine" if fine else repr((links, handlers)).encode())
        return 7

    forking = ForkingLoop()

    async def main() -> int:
        child = await forking.fork("test", body, [kept.fileno(), mouth])
        return os.waitstatus_to_exitcode(await child.ended)

    assert forking.run(main()) == 7
    os.close(mouth)
    with os.fdopen(report, "rb") as reader:
        assert reader.read() == b"fine"
    kept.close()
    unwanted.close()


def test_child_goes_before_the_supervisor_where_memory_ends() -> None:
    """The kernel is told to choose a child, which the supervisor starts again."""
    own = Path("/proc/self/oom_score_adj")
    above = int(own.read_text())
    forking = ForkingLoop()

    async def main() -> int:
        child = await forking.fork("test", lambda: int(int(own.read_text()) > min(above, 999)))
        return os.waitstatus_to_exitcode(await child.ended)

    assert forking.run(main()) == 1


def test_subprocess_that_still_runs_is_no_warning() -> None:
    """A child that is forked meanwhile says nothing about it: as a warning it would stand in the log (here it would end the child)."""
    forking = ForkingLoop()

    async def main() -> int:
        running = await asyncio.create_subprocess_exec("sleep", "30")
        child = await forking.fork("test", lambda: 7)
        status = os.waitstatus_to_exitcode(await child.ended)
        running.kill()
        await running.wait()
        return status

    assert forking.run(main()) == 7


def test_reader_that_is_gone_is_an_error_and_not_the_end() -> None:
    """Writing to a connection that the other side broke off must not kill the process: anybody could end a worker so."""
    ours, theirs = socket.socketpair()
    theirs.close()

    def body() -> int:
        try:
            ours.send(b"reply")
        except BrokenPipeError:
            return 7
        return 8

    forking = ForkingLoop()

    async def main() -> int:
        child = await forking.fork("test", body, [ours.fileno()])
        return os.waitstatus_to_exitcode(await child.ended)

    assert forking.run(main()) == 7
    ours.close()


def test_parent_loop_goes_on_while_children_come_and_go() -> None:
    """Timers, tasks and many forks at once do not disturb each other."""
    forking = ForkingLoop()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    async def main() -> int:
        ticking = asyncio.ensure_future(tick())
        children = await asyncio.gather(*(forking.fork(str(number), lambda number=number: number) for number in range(8)))
        codes = [os.waitstatus_to_exitcode(await child.ended) for child in children]
        await asyncio.sleep(0.05)
        ticking.cancel()
        return int(codes == list(range(8)))

    assert forking.run(main()) == 1
    assert ticks > 3


def test_crash_of_the_body_is_an_exit_status() -> None:
    """An exception ends the child with its own status, never the parent."""
    forking = ForkingLoop()

    def body() -> int:
        raise RuntimeError("on purpose")

    async def main() -> int:
        return os.waitstatus_to_exitcode(await (await forking.fork("test", body)).ended)

    assert forking.run(main()) == CRASHED


def test_stop_kills_a_child_that_ignores_the_request() -> None:
    """SIGTERM first, SIGKILL after the patience."""
    forking = ForkingLoop()

    def body() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(30)
        return 0

    async def main() -> int:
        child = await forking.fork("test", body)
        await asyncio.sleep(0.2)
        return await child.stop(0.1)

    assert describe_exit(forking.run(main())) == "killed by SIGKILL"


def test_subprocesses_of_others_are_not_waited_for() -> None:
    """A command that the composition runs on the same loop gets its own exit status."""
    forking = ForkingLoop()

    async def main() -> int:
        child = await forking.fork("test", lambda: 3)
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        return await process.wait() * 10 + os.waitstatus_to_exitcode(await child.ended)

    assert forking.run(main()) == 53


def test_children_follow_a_killed_parent() -> None:
    """When the parent is killed, the kernel asks its children to end."""
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        forking = ForkingLoop()

        def body() -> int:
            os.write(writer, b"x")
            time.sleep(30)
            return 0

        async def main() -> int:
            await (await forking.fork("test", body, [writer])).ended
            return 0

        forking.run(main())
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert os.read(reader, 1) == b""  # the last holder of the other end is gone
    os.close(reader)


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exit status 0"), (256, "exit status 1"), (9, "killed by SIGKILL"), (64, "killed by SIGRTMAX")]
)
def test_describe_exit_in_words(status: int, words: str) -> None:
    """A wait status becomes something a person can read."""
    assert describe_exit(status) == words


def test_silenced_descriptors_read_as_empty() -> None:
    """A silenced number stays taken, so that a late close in Python hits nothing else."""
    pid = os.fork()
    if pid == 0:
        one, two = socket.socketpair()
        number = one.fileno()
        silence_descriptors([two.fileno()])
        os._exit(0 if os.read(number, 10) == b"" and two.getsockname() == "" else 1)
    assert os.waitpid(pid, 0)[1] == 0
