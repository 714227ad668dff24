"""Cases drawn from a random generator: the numbers on which a rule is tried."""

from __future__ import annotations

from random import Random
from typing import Any


def numbers(random: Random, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Any:
    """Nested lists of ``shape`` with two decimals, so that a message is short and can be redone by hand."""
    if not shape:
        return round(random.uniform(low, high), 2)
    return [numbers(random, shape[1:], low, high) for _ in range(shape[0])]


def stepping(
    random: Random,
    state: dict[str, Any],
    hyper: dict[str, Any],
    shapes: tuple[tuple[int, ...], ...] = ((3,), ()),
    steps: int = 6,
    dtype: str = "float64",
    gradient: str = "list",
    text: str = "",
) -> dict[str, Any]:
    """A case for the observer ``steps``.

    ``state`` maps each state of the rule to its start: a float range (low, high) draws numbers shaped like w, anything
    else (None, a whole number, 0.0) is taken as it is. ``hyper`` values may be lists, one value per step.
    ``gradient`` "list" draws a gradient per step, one of them zero; "function" draws a quadratic instead.
    """

    def start(shape: tuple[int, ...]) -> dict[str, Any]:
        drawn = {k: numbers(random, shape, *v) if isinstance(v, tuple) else v for k, v in state.items()}
        return {"w": numbers(random, shape), **{k: _fill(v, shape) for k, v in drawn.items()}}

    case: dict[str, Any] = {"steps": steps, "dtype": dtype, "hyper": hyper, "start": [start(s) for s in shapes]}
    if gradient == "list":
        case["grads"] = [[numbers(random, s) for s in shapes] for _ in range(steps)]
        # A zero gradient: state must go on moving w, and nothing may divide by it.
        case["grads"][steps // 2] = [_fill(0.0, s) for s in shapes]
    else:
        case["curvature"] = [numbers(random, s, 0.3, 3.0) for s in shapes]
        case["center"] = [numbers(random, s) for s in shapes]
    where = "the middle of a run, " if any(isinstance(v, tuple) for v in state.values()) else ""
    case["text"] = text or f"{where}w {shapes[0]}, " + ", ".join(f"{k}={_short(v)}" for k, v in hyper.items())
    return case


def dropping(lr: float, steps: int = 6) -> list[float]:
    """A learning rate per step that drops to a tenth half-way: the forms of momentum part there."""
    return [lr if s < steps // 2 else round(lr / 10, 6) for s in range(steps)]


def _fill(value: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(value, float) or not shape:
        return value
    return [_fill(value, shape[1:]) for _ in range(shape[0])]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:g} then {value[-1]:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)
