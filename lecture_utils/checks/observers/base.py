"""What an observer is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import cloudpickle
import torch

from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, from_numbers

Cases = list[dict[str, Any]]


@dataclass(frozen=True)
class Observer:
    """How an answer is called, and what is looked at of what comes back.

    ``perform`` runs beside student code and yields raw values; every property and every yes or no is worked out by
    ``interpret``, which in grading runs elsewhere. ``arguments`` are the names of the exercise's signature.
    """

    arguments: tuple[str, ...] = ()

    advice: ClassVar[str] = "Redo the case below by hand, and compare it with your code line by line."
    made_of_others: ClassVar[tuple[str, ...]] = ()  # results that others go into, as Adam's averages go into w
    withholds: ClassVar[tuple[str, ...]] = ()  # finished things that the answer is to be: see ``withhold``
    needs: ClassVar[tuple[str, ...]] = ()  # those that it is to use
    slow: ClassVar[bool] = False  # whether each case starts a process
    halves: ClassVar[bool] = False  # whether grading runs ``save`` in one process and ``load`` in another one

    def prepare(self) -> None:
        """What takes long and is not the student's doing."""

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        """Call ``answer``; a ``Problem`` says what goes wrong. Arguments are copied: working in place is allowed."""
        raise NotImplementedError

    def save(self, answer: Callable, case: dict, path: str) -> Iterator[Entry]:
        """The first half of ``perform``, which leaves a file at ``path``."""
        raise NotImplementedError

    def pack(self, answer: Callable) -> bytes:
        """What the process that loads is given of the answer, before anything is saved. Raises ``Problem``."""
        raise NotImplementedError

    def load(self, packed: bytes, case: dict, path: str) -> Iterator[Entry]:
        """The second half, in a process that knows nothing else of the first."""
        raise NotImplementedError

    def interpret(self, raw: Trace, case: dict) -> Trace:
        """What is compared with the reference."""
        return raw

    def hide(self, cases: Cases, draw: Callable[[Random], Cases], random: Random) -> Cases:
        """Hidden cases, beside the public ``cases``; ``draw`` is how the exercise draws its own."""
        return draw(random)

    def result_of(self, entry: Entry, case: dict) -> str | None:
        """Of which result an entry tells by itself what was done wrong in it: of an update rule, the first step's w."""
        return None

    def is_exact(self, case: dict) -> bool:
        """Whether two answers that do the same give the same numbers in this case, to far more digits than are compared."""
        return case.get("dtype", "float64") == "float64"

    def raw_tells(self) -> bool:
        """Whether raw values tell more than what is compared, because they are not compared themselves."""
        return False

    def scale_of(self, case: dict, got: Trace, entry: Entry) -> float:
        """The largest number that goes in where ``entry`` comes back: rounding is in proportion to it."""
        return 0.0

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        """What the answer gets where ``entry`` comes back, as names and numbers to be shown."""
        return {}


def as_given(value: Any, dtype: torch.dtype = torch.float64) -> Any:
    """A value of a case as an answer gets it: nested lists and numbers become tensors, whole numbers and None stay."""
    return value if value is None or isinstance(value, int) else from_numbers(value).to(dtype)


def packed(thing: Any, name: str) -> bytes:
    """A thing of the notebook's, to be used in another process. Raises ``Problem`` when it cannot be sent."""
    try:
        return cloudpickle.dumps(thing)
    except Exception as error:
        raise Problem(Kind.CRASHED, _NOT_THERE.format(name, error)) from None


def unpacked(sent: bytes, name: str) -> Any:
    """The inverse of ``packed``, in the other process."""
    try:
        return cloudpickle.loads(sent)
    except Exception as error:
        raise Problem(Kind.CRASHED, _NOT_THERE.format(name, error)) from None


_NOT_THERE = "{} cannot run in another process: {}\nUse its arguments only, nothing of the notebook."


def copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return value if isinstance(value, (int, float, str)) else copy.copy(value)
