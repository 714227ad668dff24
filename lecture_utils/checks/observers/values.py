"""Plain functions: numbers in, a number or a list of numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import Observer, as_given, copied
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, as_tensor


@dataclass(frozen=True)
class Values(Observer):
    """One call with ``case["args"]``, or one for each of ``case["calls"]``, {place: args}.

    Nested lists arrive as float64 tensors; as plain lists if ``case["plain"]``. ``on_the_way`` are numbers that are shown
    beside them, so that a student who redoes the case by hand can compare earlier. ``raises`` names the exception that
    the exercise asks for on bad arguments: raising it is then an answer. So is None, if ``none``. ``demands`` is "float"
    where later cells need a plain number, "int" where they need whole ones: a tensor is refused there.
    """

    raises: str | None = None
    none: bool = False
    demands: str | None = None

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        for place, given in _calls(case).items():
            with at(place):
                try:
                    args = [copied(given[a]) if _stays(given[a], case) else as_given(given[a]) for a in self.arguments]
                    result = call(answer, args, self.arguments)
                except Problem as problem:
                    if self.raises and problem.error == self.raises:
                        yield Entry(place, "raised", torch.tensor(1.0))
                        continue
                    raise
                if self.none and result is None:
                    yield Entry(place, "None", torch.tensor(1.0))
                else:
                    yield Entry(place, "result", as_tensor(result, "The result"))
                    _demand(result, self.demands)

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        given = _calls(case)[entry.place]
        return {name: given[name] for name in self.arguments} | case.get("on_the_way", {})


def _calls(case: dict) -> dict[str, dict]:
    return case.get("calls") or {"the call": case["args"]}


def _stays(value: Any, case: dict) -> bool:
    return not isinstance(value, list) or bool(case.get("plain"))


def _demand(result: Any, demands: str | None) -> None:
    """A ``Problem`` for what looks like the right number and breaks the cells that use it."""
    if not demands:
        return
    for value in result if isinstance(result, (list, tuple)) else [result]:
        if demands == "float" and isinstance(value, (torch.Tensor, np.ndarray)):
            text = "It returns a tensor; a plain number is asked for. Use the functions of `math`, or end in `.item()`."
            raise Problem(Kind.TYPE, text)
        if demands == "int" and (isinstance(value, bool) or not isinstance(value, (int, np.integer))):
            text = f"Whole numbers are asked for, of type int; one of yours is {value!r:.40}, of type {type(value).__name__}."
            raise Problem(Kind.TYPE, text)
