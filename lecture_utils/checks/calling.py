"""Calling student code: whatever goes wrong in it becomes a ``Problem`` with a sentence for the student."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lecture_utils.checks.traces import Problem


def call(function: Callable, args: list, names: list[str]) -> Any:
    """Call student code; everything that can go wrong becomes a ``Problem`` with a sentence for the student."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None  # some built-ins have none: the call itself will tell
    try:
        if signature:
            signature.bind(*args)
    except TypeError:
        text = (
            f"It is called with {len(names)} arguments, ({', '.join(names)}), "
            f"but yours takes {signature}. Restore the `def` line of the exercise."
        )
        raise Problem("arity", text) from None
    try:
        return function(*args)
    except (KeyboardInterrupt, TimedOut, Problem):
        raise
    except NotImplementedError as error:
        if error.args:  # the stub's has none; torch's own say what is not implemented
            raise Problem("crashed", _what_crashed(error)) from error
        raise Problem(
            "not_written", "Put your own lines where it says # YOUR CODE HERE, and take out the line that raises."
        ) from error
    except BaseException as error:  # SystemExit too: a student's exit() must not end the check
        raise Problem("crashed", _what_crashed(error)) from error


def _what_crashed(error: BaseException) -> str:
    """The exception, and the student's own line: the last one outside installed packages and this one."""
    said = textwrap.shorten(str(error), 250, placeholder=" …")  # some of torch's messages fill a page
    text = f"It stops with {type(error).__name__}" + (f": {said}" if said else "") + "."
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "site-packages" in frame.filename or frame.filename.startswith((here, sys.base_prefix, "<frozen")):
            continue
        return f"{text}\nThe line is: {frame.line}    (line {frame.lineno} of its cell)"
    return text


@contextmanager
def at(place: str) -> Iterator[None]:
    try:
        yield
    except Problem as problem:
        problem.place = place
        raise


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
