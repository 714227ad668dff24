"""A trace is all that a check sees of a function: labelled arrays in the order in which they came back.

Traces travel as JSON, so that a student's machine holds numbers and no solution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

DIGITS = 12  # significant digits kept in checks.json: stable across machines, far finer than any tolerance
KINDS = set("arity complex crashed dtype generator no_grad none not_written timeout too_few too_many type".split())


ONE_BY_ONE = (
    "{what} is a {kind}, which gives one value after the other when asked. Give the values themselves: "
    "`return`, not `yield`; list( ) around a map or around an expression with `for`."
)


class Problem(Exception):
    """What came back cannot be compared. ``kind`` is the machine's word for it, the text is the student's.

    ``place`` is where it happened, such as "step 2".
    """

    def __init__(self, kind: str, text: str = "", place: str = ""):
        super().__init__(text)
        self.kind, self.place = kind, place


@dataclass
class Trace:
    """``entries`` are (label, tensor) pairs in the order observed; ``problem`` is what ended it early, if anything."""

    entries: list[tuple[str, torch.Tensor]] = field(default_factory=list)
    problem: Problem | None = None

    def end(self) -> tuple[str, str] | None:
        """How the trace ended: None, or the kind and the place of its problem."""
        return self.problem and (self.problem.kind, self.problem.place)


def as_tensor(value: Any, what: str, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Turn what a student returned into a detached CPU copy; a ``Problem`` says why that cannot be done.

    ``dtype`` is demanded of tensors and arrays only: a Python number or a list has no dtype to get wrong.
    """
    if value is None:
        raise Problem("none", f"{what} is None. Does every path through your function end in `return …`?")
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().clone()
    elif isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
        try:
            tensor = torch.as_tensor(np.array(value))
        except (TypeError, ValueError, OverflowError):  # 10**30, an array of text
            raise Problem("type", f"{what} is {value!r:.80}; a number or an array of numbers is expected.") from None
    elif isinstance(value, (list, tuple)):
        try:
            tensor = torch.stack([as_tensor(v, what).double() for v in value]) if value else torch.zeros(0)
        except RuntimeError:
            raise Problem("type", f"{what} is a {type(value).__name__} of things of different shapes.") from None
    elif hasattr(value, "__next__"):
        raise Problem("generator", ONE_BY_ONE.format(what=what, kind=type(value).__name__))
    elif callable(value):
        raise Problem("type", f"{what} is a function. Was it meant to be called, with ( )?")
    else:
        raise Problem("type", f"{what} is of type {type(value).__name__}; a number or a tensor is expected.")
    if tensor.is_complex():
        raise Problem("complex", f"{what} is a complex number; a real one is expected.")
    if dtype and tensor.dtype != dtype and isinstance(value, (torch.Tensor, np.ndarray)):
        raise Problem("dtype", f"{what} is {_name(tensor.dtype)}, but w came in as {_name(dtype)}. Keep the dtype.")
    return tensor


def close(a: torch.Tensor, b: torch.Tensor, rtol: float) -> bool:
    """Same shape, and equal within ``rtol`` times the largest finite entry of ``b`` (at least 1e-3)."""
    if a.shape != b.shape:
        return False
    a, b = a.double(), b.double()
    finite = b[torch.isfinite(b)].abs()
    scale = max(finite.max().item() if finite.numel() else 0.0, 1e-3)
    return torch.allclose(a, b, rtol=0, atol=rtol * scale, equal_nan=True)


def first_difference(got: Trace, expected: Trace, rtol: float) -> int | None:
    """The index of the first entry that differs or is missing on one side, or None. Problems are not looked at."""
    for i, ((label, a), (other, b)) in enumerate(zip(got.entries, expected.entries, strict=False)):
        if label != other or not close(a, b, rtol):
            return i
    shorter = min(len(got.entries), len(expected.entries))
    return shorter if len(got.entries) != len(expected.entries) else None


def same(got: Trace, expected: Trace, rtol: float) -> bool:
    """Whether two traces are equal within the tolerance and end alike."""
    return first_difference(got, expected, rtol) is None and got.end() == expected.end()


def encode(trace: Trace, text: bool = False) -> dict[str, Any]:
    """A trace as strict JSON: ``inf`` and ``nan`` become strings. A problem's ``text`` is kept if asked for."""
    data: dict[str, Any] = {"entries": [[label, _numbers(value.tolist())] for label, value in trace.entries]}
    if problem := trace.problem:
        data["problem"] = [problem.kind, problem.place, *([str(problem)] if text else [])]
    return data


def decode(data: dict[str, Any]) -> Trace:
    """The inverse of ``encode``. Raises all sorts of errors for what is no trace."""
    entries = [(label, from_numbers(numbers)) for label, numbers in data["entries"]]
    if not data.get("problem"):
        return Trace(entries)
    kind, place, *text = data["problem"]
    return Trace(entries, Problem(kind, *text, place=place))


def from_numbers(numbers: Any, dtype: str = "float64") -> torch.Tensor:
    """Nested lists from JSON as a tensor."""
    return (
        torch.tensor(numbers)
        if isinstance(numbers, bool)
        else torch.tensor(_floats(numbers), dtype=getattr(torch, dtype))
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)
    return value


def _floats(value: Any) -> Any:
    return [_floats(v) for v in value] if isinstance(value, list) else float(value)
