"""What an exercise is: a reference, cases to call it on, and the mistakes that its check can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(frozen=True)
class Misconception:
    """A wrong variant of an exercise's function, and what to tell the student who wrote it.

    ``message`` explains the idea and does not spell out the line. ``credit`` is the share of the points, 0 to 1.
    Several variants of one misconception may share a message.
    """

    name: str
    message: str
    wrong: Callable
    credit: float = 0.0


@dataclass(frozen=True)
class Exercise:
    """One graded function.

    ``observer`` names an entry of ``observers.OBSERVERS``; ``cases`` draws a list of cases (plain dictionaries that
    the observer understands) from a random generator: the public ones from a fixed seed, hidden ones from a secret.
    ``rtol`` is relative to the largest entry of each compared tensor. ``uses`` names exercises that an answer may call.
    """

    name: str
    notebook: str
    points: int
    observer: str
    cases: Callable[[Random], list[dict[str, Any]]]
    reference: Callable
    misconceptions: tuple[Misconception, ...]
    rtol: float = 1e-6
    settings: dict[str, Any] = field(default_factory=dict)
    uses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [m.name for m in self.misconceptions]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two misconceptions have the same name in {sorted(names)}")
        for m in self.misconceptions:
            if not 0 <= m.credit < 1:
                raise ValueError(f"{self.name}/{m.name}: credit must be in [0, 1), got {m.credit}")
