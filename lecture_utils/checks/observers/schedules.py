"""Learning rates that an optimizer really uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import Observer
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, as_tensor
from lecture_utils.checks.withhold import SCHEDULES


def rate_of(group: Any) -> Any:
    """The rate of a parameter group, which student code may have made or spoilt."""
    if not isinstance(group, dict) or "lr" not in group:
        text = (
            'A parameter group must be a dictionary that holds the learning rate as "lr": so every scheduler finds it.'
        )
        raise Problem(Kind.TYPE, text)
    if not isinstance(group["lr"], (int, float, torch.Tensor)):
        raise Problem(Kind.TYPE, f"A learning rate is a number; in a parameter group it is {group['lr']!r:.40}.")
    return group["lr"]


class WithOptimizer(Observer):
    """With its first optimizer torch imports its other half, which takes seconds, and may not be stopped half-way."""

    withholds: ClassVar[tuple[str, ...]] = (SCHEDULES,)

    def prepare(self) -> None:
        torch.optim.SGD([torch.zeros(1)])


@dataclass(frozen=True)
class OptimizerRates(WithOptimizer):
    """``adjust(optimizer, epoch, …)``: the learning rate of each parameter group after a call for each epoch."""

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        groups = [{"params": [torch.zeros(k + 1, requires_grad=True)], "lr": lr} for k, lr in enumerate(case["lrs"])]
        optimizer = torch.optim.SGD(groups)
        for step, epoch in enumerate(case["epochs"], 1):
            given = case["args"] | {"optimizer": optimizer, "epoch": epoch}
            with at(f"epoch {epoch}"):
                call(answer, [given[name] for name in self.arguments], self.arguments)
                for k, group in enumerate(optimizer.param_groups):
                    if isinstance(rate := rate_of(group), torch.Tensor):
                        raise Problem(Kind.TYPE, f"The rate of group {k} is a tensor. Use `math.exp`, or `.item()`.")
                    rate = as_tensor(rate, "The learning rate")
                    yield Entry(f"epoch {epoch}", f"rate of group {k}", rate, step)

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        before = [e for e in got.entries if e.step == entry.step - 1] if entry.step > 1 else []
        rates = {e.name: e.value for e in before} or {f"rate of group {k}": lr for k, lr in enumerate(case["lrs"])}
        return {"epoch": case["epochs"][entry.step - 1], **case["args"], **rates}


@dataclass(frozen=True)
class LambdaRates(WithOptimizer):
    """``f(…)`` makes a function for LambdaLR: what that gives for some epochs, then the rates of a real LambdaLR."""

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        made = call(answer, list(case["args"].values()), self.arguments)
        if made is None:
            text = "It returns None. A function that is defined inside must be returned, too: by its name, without ( )."
            raise Problem(Kind.NONE, text)
        if not callable(made):
            number = isinstance(made, (int, float, torch.Tensor))  # has a misconception of its own
            text = f"It must return a function of the epoch; yours returns a {type(made).__name__}."
            raise Problem(Kind.TYPE, text, place="" if number else "what it returns")
        call(answer, list(case["other"].values()), self.arguments)  # made later: must not change the first
        for step, epoch in enumerate(case["epochs"], 1):
            with at(f"epoch {epoch}"):
                yield Entry(f"epoch {epoch}", "factor", _factor(made, epoch), step)
        optimizer = _Still([torch.zeros(1)], {"lr": case["lr"]})
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: _factor(made, epoch).item())
        for epoch in range(4):
            rate = as_tensor(optimizer.param_groups[0]["lr"], "The rate")
            yield Entry(f"LambdaLR in epoch {epoch}", "rate", rate, epoch + 1)
            optimizer.step()
            scheduler.step()

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        first = {"rate at first": case["lr"]} if entry.name == "rate" else {}
        epoch = case["epochs"][entry.step - 1] if entry.name == "factor" else entry.step - 1
        return {**case["args"], "epoch": epoch, **first}


class _Still(torch.optim.Optimizer):
    """An optimizer that a scheduler can drive, and that does nothing: finished ones are withheld."""

    def step(self, closure: None = None) -> None:
        pass


def _factor(made: Callable, epoch: int) -> torch.Tensor:
    try:
        factor = call(made, [epoch], ["epoch"])
    except Problem as problem:
        if problem.kind == Kind.ARITY:
            raise Problem(Kind.ARITY, "The function that you return must take one argument, the epoch.") from None
        raise
    if isinstance(factor, torch.Tensor):
        text = "The function that you return gives a tensor; a scheduler needs a plain number: use `math.exp`, or `.item()`."
        raise Problem(Kind.TYPE, text)
    return as_tensor(factor, "The factor")
