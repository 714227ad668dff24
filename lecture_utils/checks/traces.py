"""A trace is all that a check sees of a function: arrays with their places, in the order in which they came back.

Traces travel as JSON, so that a student's machine holds numbers and no solution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import torch

DIGITS = 12  # significant digits kept in checks.json: stable across machines, far finer than any tolerance


class Kind(StrEnum):
    """Every way in which a call or a verdict can end."""

    PASSED = "passed"
    RECORDED = "recorded"  # in an exam: right or wrong is decided later
    MISCONCEPTION = "misconception"  # a named mistake, or two
    DIFFERENT = "different"  # other numbers, and no name for what was done
    SHAPE = "shape"
    NONFINITE = "nonfinite"
    NOT_WRITTEN = "not_written"
    # what ends a call, see ``Problem``
    ARITY = "arity"
    COMPLEX = "complex"
    CRASHED = "crashed"
    DTYPE = "dtype"
    GENERATOR = "generator"
    NO_GRAD = "no_grad"
    NONE = "none"
    TIMEOUT = "timeout"
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"
    TYPE = "type"
    WITHHELD = "withheld"  # a finished rule was called
    FORM = "form"  # of an answer to a question
    # of grading
    OTHER_STUDENT = "other_student"
    REVIEW = "review"
    UNKNOWN = "unknown"
    NOT_RUN = "not_run"
    MALFORMED = "malformed"


_KINDS = list(Kind)
PROBLEMS = frozenset([Kind.NOT_WRITTEN, *_KINDS[_KINDS.index(Kind.ARITY) : _KINDS.index(Kind.FORM)]])
ONE_BY_ONE = (
    "{what} is a {kind}, which gives one value after the other when asked. Give the values themselves: "
    "`return`, not `yield`; list( ) around a map or around an expression with `for`."
)


class Problem(Exception):
    """What came back cannot be compared. ``kind`` is for the machine, the text for the student.

    ``place`` is where it happened, such as "step 2"; ``error`` the exception's name, if it was one.
    """

    def __init__(self, kind: Kind, text: str = "", place: str = "", error: str = ""):
        super().__init__(text)
        self.kind, self.place, self.error = Kind(kind), place, error

    def end(self) -> tuple[str, str, str]:
        """What two problems must share to be alike; the words may differ."""
        return (self.kind, self.place, self.error)


@dataclass(frozen=True)
class Entry:
    """One array that came back: in which ``step`` (0 where nothing counts them) or at which ``place``, as what, of which tensor.

    ``scale`` is the size of what went in, where the reference was recorded.
    """

    place: str
    name: str
    value: Any  # a torch.Tensor
    step: int = 0
    tensor: int = 0
    scale: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        """What two entries must share to be compared."""
        return (self.place, self.name, self.tensor)


@dataclass
class Trace:
    """What came back, in the order observed; ``problem`` is what ended it early, if anything."""

    entries: list[Entry] = field(default_factory=list)
    problem: Problem | None = None

    def end(self) -> tuple[str, str, str] | None:
        return self.problem and self.problem.end()


def traced(observation: Iterator[Entry]) -> Trace:
    """All that an observation yields until it is over, or until a ``Problem`` ends it."""
    trace = Trace()
    try:
        for entry in observation:
            trace.entries.append(entry)
    except Problem as problem:
        trace.problem = problem
    return trace


def as_tensor(value: Any, what: str, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Turn what a student returned into a detached CPU copy; a ``Problem`` says why that cannot be done.

    ``dtype`` is demanded of tensors and arrays only: a Python number or a list has no dtype to get wrong.
    """
    if value is None:
        raise Problem(Kind.NONE, f"{what} is None. Does every path through your function end in `return …`?")
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().clone()
    elif isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
        try:
            tensor = torch.as_tensor(np.array(value))
        except (TypeError, ValueError, OverflowError):  # 10**30, an array of text
            raise Problem(Kind.TYPE, f"{what} is {value!r:.80}; a number or an array of numbers is expected.") from None
    elif isinstance(value, (list, tuple)):
        try:
            tensor = torch.stack([as_tensor(v, what).double() for v in value]) if value else torch.zeros(0)
        except RuntimeError:
            raise Problem(Kind.TYPE, f"{what} is a {type(value).__name__} of things of different shapes.") from None
    elif hasattr(value, "__next__"):
        raise Problem(Kind.GENERATOR, ONE_BY_ONE.format(what=what, kind=type(value).__name__))
    elif callable(value):
        raise Problem(Kind.TYPE, f"{what} is a function. Was it meant to be called, with ( )?")
    else:
        raise Problem(Kind.TYPE, f"{what} is of type {type(value).__name__}; a number or a tensor is expected.")
    if tensor.is_complex():
        raise Problem(Kind.COMPLEX, f"{what} is a complex number; a real one is expected.")
    if dtype and tensor.dtype != dtype and isinstance(value, (torch.Tensor, np.ndarray)):
        raise Problem(Kind.DTYPE, f"{what} is {_name(tensor.dtype)}, but w came in as {_name(dtype)}. Keep the dtype.")
    return tensor


# --- comparing ---------------------------------------------------------------------------------------------------


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> bool:
    """Same shape, and equal within the absolute ``tolerance``; inf and nan equal themselves."""
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance, equal_nan=True)


def tolerances(expected: Trace, rtol: float) -> list[float]:
    """For each entry ``rtol`` times the largest finite number of its step, what goes in and what comes out (at least 1e-3).

    A state near zero beside large weights or gradients may be off by what rounding does to those: a right rule that is
    written in another order differs by that much.
    """
    largest: dict[tuple[str, int], float] = {}
    for entry in expected.entries:
        value = entry.value.double()
        finite = value[torch.isfinite(value)].abs()
        here = float(finite.max()) if finite.numel() else 0.0
        before = largest.get((entry.place, entry.tensor), 1e-3)
        largest[entry.place, entry.tensor] = max(before, here, entry.scale)
    return [rtol * largest[entry.place, entry.tensor] for entry in expected.entries]


def first_difference(got: Trace, expected: Trace, rtol: float) -> int | None:
    """The index of the first entry that differs or is missing on one side, or None. Problems are not looked at."""
    pairs = zip(got.entries, expected.entries, tolerances(expected, rtol), strict=False)
    for i, (a, b, tolerance) in enumerate(pairs):
        if a.key != b.key or not close(a.value, b.value, tolerance):
            return i
    shorter = min(len(got.entries), len(expected.entries))
    return shorter if len(got.entries) != len(expected.entries) else None


def same(got: Trace, expected: Trace, rtol: float) -> bool:
    """Whether two traces are equal within the tolerance and end alike."""
    return first_difference(got, expected, rtol) is None and got.end() == expected.end()


# --- as JSON -----------------------------------------------------------------------------------------------------


def encode(trace: Trace, whole: bool = False) -> dict[str, Any]:
    """A trace as strict JSON: ``inf`` and ``nan`` become strings. Only the ``whole`` has every digit, and a problem's text."""
    data: dict[str, Any] = {
        "entries": [
            [
                e.place,
                e.name,
                _numbers(e.value.tolist(), 17 if whole else DIGITS),
                e.step,
                e.tensor,
                *([e.scale] if e.scale else []),
            ]
            for e in trace.entries
        ]
    }
    if problem := trace.problem:
        data["problem"] = [*problem.end(), *([str(problem)] if whole else [])]
    return data


def decode(data: dict[str, Any]) -> Trace:
    """The inverse of ``encode``. Raises all sorts of errors for what is no trace."""
    entries = [
        Entry(str(place), str(name), from_numbers(numbers), int(step), int(tensor), *map(float, scale))
        for place, name, numbers, step, tensor, *scale in data["entries"]
    ]
    if not data.get("problem"):
        return Trace(entries)
    kind, place, error, *text = map(str, data["problem"])
    return Trace(entries, Problem(kind, *text, place=place, error=error))


def from_numbers(numbers: Any, dtype: str = "float64") -> torch.Tensor:
    """Nested lists from JSON as a tensor; yes and no stay what they are."""
    if isinstance(numbers, bool):
        return torch.tensor(numbers)
    return torch.tensor(_floats(numbers), dtype=getattr(torch, dtype))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _numbers(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return [_numbers(v, digits) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)
    return value


def _floats(value: Any) -> Any:
    return [_floats(v) for v in value] if isinstance(value, list) else float(value)
