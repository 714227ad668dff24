"""Optimizers: of a class that a student writes, or made by a student's function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import packed, unpacked
from lecture_utils.checks.observers.schedules import WithOptimizer, rate_of
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, as_tensor, from_numbers
from lecture_utils.checks.withhold import RULES


@dataclass(frozen=True)
class OptimizerClass(WithOptimizer):
    """A ``torch.optim.Optimizer`` of one's own: the parameters after each step.

    A case holds ``groups`` (per group: its arguments and the starting parameters), ``arguments`` of the constructor,
    ``grads`` (per step, per parameter, None for no gradient), and the steps before which the rates of all groups are
    multiplied (``lr_times``: {step: factor}) and before which a new optimizer takes over by ``state_dict`` (``restart``).
    """

    advice: ClassVar[str] = (
        "Follow one parameter through your step: which numbers does it use, and where do they come from?"
    )

    withholds: ClassVar[tuple[str, ...]] = (RULES,)
    halves: ClassVar[bool] = True

    def make(self, answer: Callable, groups: list[dict], case: dict) -> Any:
        """Call the student's code for an optimizer of ``groups``, with keyword arguments, as everybody passes them."""
        return call(lambda: answer(groups, **case["arguments"]), [], [])

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        values, saved = yield from self._until_restart(answer, case)
        yield from self._after_restart(answer, case, values, saved)

    def save(self, answer: Callable, case: dict, path: str) -> Iterator[Entry]:
        values, saved = yield from self._until_restart(answer, case)
        with at(_place(case["restart"])):
            call(torch.save, [{"values": values, "state": saved}, path], ["obj", "f"])

    def pack(self, answer: Callable) -> bytes:
        return packed(answer, getattr(answer, "__name__", "It"))

    def load(self, packed: bytes, case: dict, path: str) -> Iterator[Entry]:
        stored = torch.load(path, weights_only=False)
        yield from self._after_restart(unpacked(packed, "It"), case, stored["values"], stored["state"])

    def _until_restart(self, answer: Callable, case: dict) -> Iterator[Entry]:
        """What comes back is what goes on: the values of the parameters, and what the optimizer saves of itself."""
        params, optimizer = self._made(answer, case, [from_numbers(v) for g in case["groups"] for v in g["start"]])
        stop = len(case["grads"]) if case["restart"] is None else case["restart"]
        yield from self._steps(params, optimizer, case, range(stop))
        if case["restart"] is None:
            return [], None
        with at(_place(stop)):
            return [p.detach() for p in params], call(optimizer.state_dict, [], [])

    def _after_restart(self, answer: Callable, case: dict, values: list, saved: Any) -> Iterator[Entry]:
        if case["restart"] is None:
            return
        with at(_place(case["restart"])):
            params, optimizer = self._made(answer, case, values)
            call(lambda: optimizer.load_state_dict(saved), [], [])
        yield from self._steps(params, optimizer, case, range(case["restart"], len(case["grads"])))

    def _steps(self, params: list, optimizer: torch.optim.Optimizer, case: dict, steps: range) -> Iterator[Entry]:
        for step in steps:
            grads, place = case["grads"][step], _place(step)
            with at(place):
                for group in optimizer.param_groups:
                    group["lr"] = rate_of(group) * case["lr_times"].get(str(step), 1.0)
                for p, grad in zip(params, grads, strict=True):
                    p.grad = None if grad is None else from_numbers(grad)
                _step(optimizer)
                for k, (p, grad) in enumerate(zip(params, grads, strict=True)):
                    yield Entry(place, f"parameter {k}", as_tensor(p, "The parameter"), step + 1)
                    if grad is not None and (p.grad is None or not torch.equal(p.grad, from_numbers(grad))):
                        text = (
                            "The step changes the gradients. Setting them to zero is the training loop's: zero_grad()."
                        )
                        raise Problem(Kind.TYPE, text)

    def _made(self, answer: Callable, case: dict, values: list[torch.Tensor]) -> tuple[list, torch.optim.Optimizer]:
        params = [torch.nn.Parameter(value.clone()) for value in values]
        rest = iter(params)
        groups = [{"params": [next(rest) for _ in g["start"]], **g["arguments"]} for g in case["groups"]]
        optimizer = self.make(answer, groups, case)
        if not isinstance(optimizer, torch.optim.Optimizer):
            what = "None" if optimizer is None else f"of type {type(optimizer).__name__}"
            raise Problem(Kind.TYPE, f"What comes back is {what}; it must be a torch.optim.Optimizer.")
        if not hasattr(optimizer, "param_groups"):
            text = "It has no param_groups: `__init__` must call that of torch.optim.Optimizer, with super()."
            raise Problem(Kind.TYPE, text)
        return params, optimizer

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        start = [value for group in case["groups"] for value in group["start"]]
        before = {e.name: e.value for e in got.entries if e.step == entry.step - 1}
        return {f"parameter {k}": before.get(f"parameter {k}", value) for k, value in enumerate(start)} | {
            f"gradient {k}": grad for k, grad in enumerate(case["grads"][entry.step - 1])
        }


@dataclass(frozen=True)
class OptimizerByName(OptimizerClass):
    """``make(name, params)`` returns an optimizer: as ``OptimizerClass``, with one group, and ``case["name"]``.

    Each name is a result of its own, so that a slip in each of two is told.
    """

    advice: ClassVar[str] = "Compare your arguments with the table, one by one."
    withholds: ClassVar[tuple[str, ...]] = ()
    halves: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = (RULES,)

    def make(self, answer: Callable, groups: list[dict], case: dict) -> Any:
        return call(answer, [case["name"], groups[0]["params"]], ["name", "params"])

    def result_of(self, entry: Entry, case: dict) -> str | None:
        return case["name"]


def _place(step: int) -> str:
    return f"step {step + 1}"


def _step(optimizer: torch.optim.Optimizer) -> None:
    try:
        call(optimizer.step, [], [])
    except Problem as problem:
        if "requires grad" in str(problem.__cause__):
            text = "A parameter is changed in place where autograd records: put the step under torch.no_grad()."
            raise Problem(Kind.NO_GRAD, text) from None
        raise
