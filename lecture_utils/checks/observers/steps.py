"""Update rules: functions that take weights and state and hand back new ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import Observer, as_given, copied
from lecture_utils.checks.traces import ONE_BY_ONE, Entry, Kind, Problem, Trace, as_tensor
from lecture_utils.checks.withhold import RULES


@dataclass(frozen=True)
class Steps(Observer):
    """A rule such as ``momentum_step(w, grad, delta, lr, alpha) -> (w, delta)``, for some steps.

    A case holds ``start``: for each tensor a dictionary of w and state (nested lists, whole numbers, or None);
    ``grads``: for each step and tensor a gradient, or ``curvature`` and ``center`` per tensor when the rule asks for a
    function ``grad_fn(w)``; ``hyper``: hyperparameters, a list being one value per step. The tensors take turns,
    so that state kept outside the arguments is mixed up and shows.
    """

    returns: tuple[str, ...] = ("w",)
    withholds: ClassVar[tuple[str, ...]] = (RULES,)
    made_of_others: ClassVar[tuple[str, ...]] = ("w",)

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        dtype = getattr(torch, case.get("dtype", "float64"))
        tensors = [{name: as_given(value, dtype) for name, value in start.items()} for start in case["start"]]
        for step in range(1, case["steps"] + 1):
            place, hyper = f"step {step}", _at_step(case, step)
            for i, now in enumerate(tensors):
                given = hyper | _gradient(case, step, i, dtype)
                shape = tuple(now["w"].shape)
                with at(
                    place,
                    f"(It is called for one tensor after the other; this one has the shape {shape}.)" if i else "",
                ):
                    result = call(answer, [copied({**given, **now}[a]) for a in self.arguments], self.arguments)
                    for name, value in zip(self.returns, _unpack(result, self.returns), strict=True):
                        counts = isinstance(now[name], int)
                        value = as_tensor(value, f"The returned {name}", None if counts else dtype)
                        yield Entry(place, name, value, step, i)
                        if value.shape != (() if counts else shape):
                            return  # what comes after it would depend on how the student broadcasts
                        now[name] = int(value) if counts and math.isfinite(value) else value
                if "last_grad" in now:  # a rule that compares two gradients is given the one before
                    now["last_grad"] = given["grad"]

    def result_of(self, entry: Entry, case: dict) -> str | None:
        return entry.name if entry.step == 1 else None

    def scale_of(self, case: dict, got: Trace, entry: Entry) -> float:
        given = [
            torch.as_tensor(v).double()
            for v in self.goes_in(case, got, entry).values()
            if not isinstance(v, str | None)
        ]
        return round(max(float(v.abs().max()) for v in given), 4)

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        given = dict(case["start"][entry.tensor])
        if entry.step > 1:
            before = [e for e in got.entries if e.step == entry.step - 1 and e.tensor == entry.tensor]
            given |= {e.name: e.value for e in before}
        if "grads" in case:
            given["grad"] = case["grads"][entry.step - 1][entry.tensor]
            if "last_grad" in given and entry.step > 1:
                given["last_grad"] = case["grads"][entry.step - 2][entry.tensor]
        else:
            h, c = case["curvature"][entry.tensor], case["center"][entry.tensor]
            given["grad_fn"] = f"x ↦ {h} · (x − {c})"
        given |= _at_step(case, entry.step)
        return {name: given[name] for name in self.arguments}


def _at_step(case: dict, step: int) -> dict[str, Any]:
    return {name: value[step - 1] if isinstance(value, list) else value for name, value in case["hyper"].items()}


def _gradient(case: dict, step: int, i: int, dtype: torch.dtype) -> dict[str, Any]:
    if "grads" in case:
        return {"grad": as_given(case["grads"][step - 1][i], dtype)}
    h, c = (as_given(case[name][i], dtype) for name in ("curvature", "center"))
    return {"grad_fn": lambda w: h * (torch.as_tensor(w) - c)}


def _unpack(result: Any, returns: tuple[str, ...]) -> list:
    if len(returns) == 1:
        return [result]
    if result is None:
        raise Problem(Kind.NONE, "It returns None. Does it end in `return …`?")
    if hasattr(result, "__next__"):
        raise Problem(Kind.GENERATOR, ONE_BY_ONE.format(what="It", kind=type(result).__name__))
    if isinstance(result, (tuple, list)) and len(result) == len(returns):
        return list(result)
    many = len(result) if isinstance(result, (tuple, list)) else 1
    raise Problem(
        Kind.TOO_MANY if many > len(returns) else Kind.TOO_FEW,
        f"It must return {len(returns)} things, ({', '.join(returns)}), in this order; yours returns {many}.",
    )
