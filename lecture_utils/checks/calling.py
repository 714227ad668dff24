"""Calling student code: whatever goes wrong in it becomes a ``Problem`` with a sentence for the student."""

from __future__ import annotations

import inspect
import os
import re
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lecture_utils.checks.traces import Kind, Problem
from lecture_utils.checks.withhold import Withheld

NOT_WRITTEN = "Put your own lines where it says # YOUR CODE HERE, and take out the line that raises."


def call(function: Callable, args: list, names: Sequence[str]) -> Any:
    """Call student code; everything that can go wrong becomes a ``Problem`` with a sentence for the student."""
    try:
        return function(*args)
    except (KeyboardInterrupt, TimedOut, Problem):
        raise
    except Withheld as error:
        raise Problem(Kind.WITHHELD, f"{error}{_own_line(error)}") from None
    except NotImplementedError as error:
        if error.args:  # the stub's has none; torch's own say what is not implemented
            raise _crash(error) from error
        if (stub := stub_of(error)) not in (None, getattr(function, "__name__", None)):
            raise Problem(Kind.CRASHED, f"It calls {stub}, which is not written yet: do that one first.") from error
        raise Problem(Kind.NOT_WRITTEN, NOT_WRITTEN) from error
    except TypeError as error:
        if arity := _wrong_arity(function, args, names):
            raise Problem(Kind.ARITY, arity) from None
        raise _crash(error) from error
    except BaseException as error:  # SystemExit too: a student's exit() must not end the check
        raise _crash(error) from error


def _wrong_arity(function: Callable, args: list, names: Sequence[str]) -> str:
    """What is wrong with the ``def`` line, if that is it: nothing of the function has run then."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # some built-ins have none
    try:
        signature.bind(*args)
    except TypeError:
        many = f"{len(names)} argument{'' if len(names) == 1 else 's'}"
        return (
            f"It is called with {many}, ({', '.join(names)}), "
            f"but yours takes {signature}. Restore the `def` line of the exercise."
        )
    return ""


def _crash(error: BaseException) -> Problem:
    return Problem(Kind.CRASHED, _what_crashed(error), error=type(error).__name__)


def stub_of(error: NotImplementedError) -> str | None:
    """The function that is not written yet; None where that is no function with a name of its own, such as a method."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return frame.name if frame.name.isidentifier() and frame.name not in ("step", "__init__") else None


def _what_crashed(error: BaseException) -> str:
    """The exception, and the student's own line."""
    said = re.sub(r"\x1b\[[\d;]*m", "", str(error))  # the colours of a terminal
    said = textwrap.shorten(said, 250, placeholder=" …")  # some of torch's messages fill a page
    if said.startswith(("Weights only load failed", "Can't pickle local object")):  # the first goes on for a page
        said = (
            "torch.load reads tensors, numbers, text, lists and dictionaries. "
            "Save what state_dict() gives, not the object itself"
        )
    return f"It stops with {type(error).__name__}" + (f": {said}" if said else "") + "." + _own_line(error)


def _own_line(error: BaseException) -> str:
    """The student's own line: the last one outside installed packages and this one; empty if it is not known."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "site-packages" in frame.filename or frame.filename.startswith((here, sys.base_prefix, "<frozen")):
            continue
        return f"\nThe line is: {frame.line}    (line {frame.lineno} of its cell)" if frame.line else ""
    return ""


@contextmanager
def at(place: str, here: str = "") -> Iterator[None]:
    """A ``Problem`` inside is told to be at ``place``; what crashes there is told what was special ``here``."""
    try:
        yield
    except Problem as problem:
        problem.place = place
        if here and problem.kind == "crashed":
            problem.args = (f"{problem}\n{here}",)
        raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """torch's own random numbers are as before afterwards, and one thread computes: two round differently."""
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_rng_state(random)
        torch.set_num_threads(threads)


class TimedOut(BaseException):
    """Not an Exception: a student's ``except Exception`` must not swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimedOut`` inside the block after ``seconds``. Only the main thread can be stopped, others run on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TimedOut

    old = signal.signal(signal.SIGALRM if hasattr(signal, "SIGALRM") else signal.SIGINT, stop)
    if hasattr(signal, "SIGALRM"):
        # Again every second: a bare `except:` in a student's loop may swallow the first one.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    else:  # Windows has no alarm: a thread sends the interrupt
        import _thread

        timer = threading.Timer(seconds, _thread.interrupt_main)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            signal.signal(signal.SIGINT, old)
