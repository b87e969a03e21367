"""List preparation in a process of its own. `lachan` and `admin` call `prepare_in_child`.

Preparing takes hundreds of megabytes for some seconds and reads what strangers wrote. In a child it gives the memory back, has a bound of
its own, yields to the resolver (nice 10), and when it dies the gateway keeps answering. Frames on the pipes are pickles between two of our
own processes: a length of four octets, then the value.
"""

from __future__ import annotations

import os
import pickle
import resource
import struct
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, Final

from blocklists.jobs import Fetch, Inputs, Prepared, prepare
from blocklists.progress import Listener, Progress, silent
from gateway.errors import LachanError, Mistake, MistakesError, PreparationError, SettingsError

MEMORY: Final = 3 * 1024 * 1024 * 1024
"""Bytes of data the child may hold."""

_NICE: Final = 10
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class _Task:
    inputs: Inputs
    fetch: Fetch
    memory: int


@dataclass(frozen=True, slots=True)
class _Failed:
    text: str
    mistakes: tuple[Mistake, ...] = ()


def prepare_in_child(inputs: Inputs, fetch: Fetch = "none", progress: Listener = silent, memory: int = MEMORY) -> Prepared:
    """Do `jobs.prepare` in a child process. Blocks. Raises SettingsError as it does, PreparationError for everything else that fails."""
    command = [sys.executable, "-c", "from blocklists.preparing import main; main()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            _send(child.stdin, _Task(inputs, fetch, memory))
            child.stdin.close()
            result: object = None
            while (frame := _receive(child.stdout)) is not None:
                if isinstance(frame, Progress):
                    progress(frame)
                else:
                    result = frame
        except BrokenPipeError:
            result = None
        except BaseException:
            child.kill()
            raise
        code = child.wait()
    if isinstance(result, Prepared):
        return result
    if isinstance(result, _Failed):
        raise SettingsError(list(result.mistakes)) if result.mistakes else PreparationError(result.text)
    ended = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with status {code}"
    raise PreparationError(f"the preparation of the lists {ended}; the generation in force stays")


def main() -> None:
    """Read one task, do it, write what came of it."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up between the frames
    task = _receive(sys.stdin.buffer)
    if not isinstance(task, _Task):
        sys.exit(2)
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory, task.memory))
    outcome: Prepared | _Failed
    try:
        outcome = prepare(task.inputs, task.fetch, lambda step: _send(answers, step))
    except MistakesError as error:
        outcome = _Failed(str(error), error.mistakes)
    except LachanError as error:
        outcome = _Failed(str(error))
    except MemoryError:
        outcome = _Failed(f"the lists need more than {task.memory // 1024 // 1024} MiB to prepare; the generation in force stays")
    except OSError as error:
        outcome = _Failed(f"the disk refused: {error.strerror or error} ({error.filename or 'state directory'})")
    _send(answers, outcome)
    os._exit(0)  # a download that nobody waits for any more must not keep the process


def _send(pipe: IO[bytes], value: object) -> None:
    data = pickle.dumps(value)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> object:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    return pickle.loads(data) if len(data) == length else None
