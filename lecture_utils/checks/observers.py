"""Observers: ways to call a student's function on a case and write down what comes back.

An observer is a generator: it yields a (label, value) pair for each returned array, so that a function which fails
at its third step still shows two. Labels read "place: name", for example "step 2: w". Arguments are copied before
every call, so working in place is allowed; what counts is what is returned.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lecture_utils.checks.traces import Problem, Trace, as_tensor, from_numbers

Observation = Iterator[tuple[str, torch.Tensor]]
TIME_LIMIT = 10.0  # seconds for all cases of one exercise: a right answer needs milliseconds


def observe(
    function: Callable, observer: str, cases: list[dict], settings: dict, limit: float = TIME_LIMIT
) -> list[Trace]:
    """Call ``function`` on every case. Never raises for what student code does: a ``Trace`` holds the problem."""
    traces = []
    try:
        with time_limit(limit):
            for case in cases:
                traces.append(_trace(OBSERVERS[observer](function, case, **settings)))
    except _TimedOut:
        text = f"Still running after {limit:g} seconds, so it was stopped. Is there a loop that never ends?"
        traces += [Trace(problem=Problem("timeout", text))] * (len(cases) - len(traces))
    return traces


def _trace(observation: Observation) -> Trace:
    trace = Trace()
    try:
        for label, value in observation:
            trace.entries.append((label, value))
    except Problem as problem:
        trace.problem = problem
    return trace


# --- the observers -----------------------------------------------------------------------------------------------


def steps(function: Callable, case: dict, arguments: list[str], returns: list[str]) -> Observation:
    """A stepping rule such as ``momentum_step(w, grad, delta, lr, alpha) -> (w, delta)``.

    A case holds ``start``: for each tensor a dictionary of w and state (nested lists, whole numbers, or None);
    ``grads``: for each step and tensor a gradient, or ``curvature`` and ``center`` per tensor when the rule asks for a
    function ``grad_fn(w)``; ``hyper``: hyperparameters, a list being one value per step. The tensors take turns,
    so that state kept outside the arguments is mixed up and shows.
    """
    dtype = getattr(torch, case.get("dtype", "float64"))
    tensors = [{name: _state(value, dtype) for name, value in start.items()} for start in case["start"]]
    for step in range(case["steps"]):
        hyper = {name: value[step] if isinstance(value, list) else value for name, value in case["hyper"].items()}
        place = f"step {step + 1}"
        for i, now in enumerate(tensors):
            if "grads" in case:
                hyper["grad"] = _state(case["grads"][step][i], dtype)
            else:
                hyper["grad_fn"] = _quadratic(case["curvature"][i], case["center"][i], dtype)
            shape = tuple(now["w"].shape)
            with _at(place):
                result = call(function, [_copy({**hyper, **now}[a]) for a in arguments], arguments)
                for name, value in zip(returns, _unpack(result, returns), strict=True):
                    counts = isinstance(now[name], int)
                    value = as_tensor(value, f"The returned {name}", None if counts else dtype)
                    yield f"{place}: {name} {shape}", value
                    now[name] = int(value) if counts and value.numel() == 1 else value


def values(function: Callable, case: dict, arguments: list[str], raises: str | None = None) -> Observation:
    """A plain function: one call with ``case["args"]``. Nested lists arrive as float64 tensors.

    ``raises`` names the exception that the exercise asks for on bad arguments: raising it is then an answer.
    """
    args = [from_numbers(value) if isinstance(value := case["args"][name], list) else value for name in arguments]
    try:
        result = call(function, args, arguments)
    except Problem as problem:
        if raises and type(problem.__cause__).__name__ == raises:
            yield f"{raises}: raised", torch.tensor(1.0)
            return
        raise
    yield "result: value", as_tensor(result, "The result")


OBSERVERS = {"steps": steps, "values": values}


# --- calling student code ----------------------------------------------------------------------------------------


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
    except (KeyboardInterrupt, _TimedOut):
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
    text = f"It stops with {type(error).__name__}" + (f": {error}" if str(error) else "") + "."
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "site-packages" in frame.filename or frame.filename.startswith((here, sys.base_prefix, "<frozen")):
            continue
        return f"{text}\nThe line is: {frame.line}    (line {frame.lineno} of its cell)"
    return text


def _unpack(result: Any, returns: list[str]) -> list:
    if len(returns) == 1:
        return [result]
    if result is None:
        raise Problem("none", "It returns None. Does it end in `return …`?")
    if hasattr(result, "__next__"):
        raise Problem("generator", "It is a generator. Use `return`, not `yield`.")
    if isinstance(result, (tuple, list)) and len(result) == len(returns):
        return list(result)
    many = len(result) if isinstance(result, (tuple, list)) else 1
    raise Problem(
        "too_many" if many > len(returns) else "too_few",
        f"It must return {len(returns)} things, ({', '.join(returns)}), in this order; yours returns {many}.",
    )


@contextmanager
def _at(place: str) -> Iterator[None]:
    try:
        yield
    except Problem as problem:
        problem.place = place
        raise


def _state(value: Any, dtype: torch.dtype) -> Any:
    return value if value is None or isinstance(value, int) else from_numbers(value).to(dtype)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _quadratic(curvature: Any, center: Any, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    h, c = _state(curvature, dtype), _state(center, dtype)
    return lambda w: h * (torch.as_tensor(w) - c)


class _TimedOut(BaseException):
    """Not an Exception: a student's ``except Exception`` must not swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``_TimedOut`` inside the block after ``seconds``. Only the main thread can be stopped, others run on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TimedOut

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
