"""Observers: ways to call a student's function on a case, and what is looked at of what comes back.

Each is a small class in a file of its own. Its name travels in checks.json, with its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from lecture_utils.checks.calling import TimedOut, time_limit, undisturbed
from lecture_utils.checks.observers.base import Observer
from lecture_utils.checks.observers.batches import Batches
from lecture_utils.checks.observers.epochs import Epoch
from lecture_utils.checks.observers.optimizers import OptimizerByName, OptimizerClass
from lecture_utils.checks.observers.resume import Resume
from lecture_utils.checks.observers.schedules import LambdaRates, OptimizerRates
from lecture_utils.checks.observers.steps import Steps
from lecture_utils.checks.observers.values import Values
from lecture_utils.checks.traces import Kind, Problem, Trace, traced
from lecture_utils.checks.withhold import withheld

TIME_LIMIT = 10.0  # seconds for all cases of one exercise: a right answer needs milliseconds
_CLASSES = (Batches, Epoch, LambdaRates, OptimizerByName, OptimizerClass, OptimizerRates, Resume, Steps, Values)
_BY_NAME = {each.__name__: each for each in _CLASSES}

__all__ = ["TIME_LIMIT", "Observer", "from_json", "interpret", "observe", "perform", "to_json", *_BY_NAME]


def perform(
    answer: Callable, observer: Observer, cases: list[dict], limit: float = TIME_LIMIT, how: Callable | None = None
) -> list[Trace]:
    """Call ``answer`` on every case: raw values. Never raises for what student code does: a ``Trace`` holds the problem.

    ``how`` is another method of the observer's than ``perform``: one of its halves.
    """
    traces = []
    if not how:
        observer.prepare()  # before the clock starts
    try:
        with time_limit(limit), undisturbed(), withheld(*observer.withholds):
            for case in cases:
                traces.append(traced((how or observer.perform)(answer, case)))
    except TimedOut:
        text = f"Still running after {limit:g} seconds, so it was stopped. Is there a loop that never ends?"
        traces += [Trace(problem=Problem(Kind.TIMEOUT, text))] * (len(cases) - len(traces))
    return traces


def interpret(raw: Iterable[Trace], observer: Observer, cases: list[dict]) -> list[Trace]:
    """What is compared: worked out from the raw values, where no student code runs."""
    return [observer.interpret(trace, case) for trace, case in zip(raw, cases, strict=True)]


def observe(answer: Callable, observer: Observer, cases: list[dict], limit: float = TIME_LIMIT) -> list[Trace]:
    """Both in one process."""
    return interpret(perform(answer, observer, cases, limit), observer, cases)


def to_json(observer: Observer) -> dict[str, Any]:
    """``{"is": its name, …its fields}``."""
    return {"is": type(observer).__name__} | {f.name: getattr(observer, f.name) for f in fields(observer)}


def from_json(data: dict[str, Any]) -> Observer:
    """The inverse of ``to_json``. Raises ``KeyError`` or ``TypeError`` for what is no observer."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name != "is"}
    return _BY_NAME[data["is"]](**given)
