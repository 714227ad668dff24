"""One call in a process of its own, with seconds and memory that it cannot exceed, for work on what students hand in."""

from __future__ import annotations

import math
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from lecture_utils.environment import CourseError
from lecture_utils.instructor.grading.limits import address_space, lower
from lecture_utils.instructor.grading.sandbox import die_with_parent

LARGEST_FILE = 200 * 2**20  # bytes that the call may write
WAITING = 3  # times its seconds may pass, on a machine that is busy with other work, until it is ended


class OverBudget(Exception):
    """The call used up its seconds or its memory, and was ended."""


def bounded(function: Callable, *args: Any, seconds: float, memory: int) -> Any:
    """``function(*args)``, which gets ``seconds`` of processor time and ``memory`` bytes more than there are now.

    Raises ``OverBudget`` when that is not enough, and the ``CourseError`` that the call raises.
    """
    if not hasattr(os, "fork"):  # Windows: without limits
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return _result(pool.submit(_call, function, args).result())
    # Not multiprocessing: its daemonic processes, as those of a pool may be, cannot have children.
    reader, writer = os.pipe()
    if not (child := os.fork()):
        _serve(function, args, seconds, memory, writer)
    os.close(writer)
    try:
        sent = _read(reader, time.monotonic() + WAITING * seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # nothing, if it has ended
        os.waitpid(child, 0)
    if not sent:
        raise OverBudget(f"it takes more than {seconds:g} seconds or {memory // 2**20} MB to read")
    return _result(pickle.loads(sent))


def _serve(function: Callable, args: tuple, seconds: float, memory: int, writer: int) -> None:
    """All that the forked process does. It ends here: nothing of its parent is tidied up twice."""
    try:
        if sys.platform.startswith("linux"):
            die_with_parent()
        _limit(seconds, memory)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(pickle.dumps(_call(function, args)))
    finally:
        os._exit(0)


def _limit(seconds: float, memory: int) -> None:
    lower(CPU=math.ceil(seconds), FSIZE=LARGEST_FILE, CORE=0)
    if sys.platform.startswith("linux"):
        lower(AS=address_space() + memory)


def _call(function: Callable, args: tuple) -> tuple[str, Any]:
    """How it ended, and with what."""
    try:
        return "done", function(*args)
    except CourseError as error:
        return "refused", str(error)
    except (MemoryError, RecursionError) as error:
        return "over", f"it takes too much memory to read ({type(error).__name__})"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"


def _result(sent: tuple[str, Any]) -> Any:
    how, what = sent
    if how == "done":
        return what
    raise {"refused": CourseError, "over": OverBudget}.get(how, RuntimeError)(what)


def _read(reader: int, deadline: float) -> bytes:
    """What the child sends until it ends; nothing if it takes too long."""
    sent = []
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reader, 2**20)
        if not part:
            return b"".join(sent)
        sent.append(part)
    return b""
