"""Cases drawn from a random generator: the numbers on which an answer is tried."""

from __future__ import annotations

from random import Random
from typing import Any

Start = dict[str, Any]


def numbers(random: Random, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Any:
    """Nested lists of ``shape`` with two decimals, so that a message is short and can be redone by hand."""
    if not shape:
        return round(random.uniform(low, high), 2)
    return [numbers(random, shape[1:], low, high) for _ in range(shape[0])]


def case(**args: Any) -> dict[str, Any]:
    """A case for ``Values``: its arguments, and how they read. Lists are not in the text: the table shows them."""
    plain = {name: value for name, value in args.items() if not isinstance(value, list)}
    return {"args": args, "text": _named(plain)}


def steps(
    random: Random,
    state: Start,
    hyper: dict[str, Any],
    shapes: tuple[tuple[int, ...], ...] = ((2,), (2,), ()),
    steps: int = 5,
    dtype: str = "float64",
    gradient: str = "list",
) -> dict[str, Any]:
    """A run of an update rule, for ``Steps``.

    ``state`` maps each state of the rule to its start: a float range (low, high) draws numbers shaped like w, anything
    else (None, a whole number, 0.0) is taken as it is. ``hyper`` values may be lists, one value per step.
    ``gradient`` "list" draws a gradient per step, one of them zero; "function" draws a quadratic instead.
    """
    start = [_start(random, shape, state) for shape in shapes]
    made: dict[str, Any] = {"steps": steps, "dtype": dtype, "hyper": hyper, "start": start}
    if gradient == "list":
        made["grads"] = [[numbers(random, s) for s in shapes] for _ in range(steps)]
        # A zero gradient: state must go on moving w, and nothing may divide by it.
        made["grads"][steps // 2] = [_filled(0.0, s) for s in shapes]
    else:
        made["curvature"] = [numbers(random, s, 0.3, 3.0) for s in shapes]
        made["center"] = [numbers(random, s) for s in shapes]
    begun = any(isinstance(v, tuple) for v in state.values())
    made["text"] = f"{steps} steps {'from the middle of a run' if begun else 'from the start'}, {_named(hyper)}"
    return made


def single_steps(random: Random, state: Start, hyper: dict[str, Any], gradient: str = "list") -> dict[str, Any]:
    """Single steps from several given states, for ``Steps``: with all there, without a gradient, without each state.

    Where an average is zero or the gradient is, a mistake in how they are used does not show, and one in what is made of
    them shows alone: so that each result can be told by itself.
    """
    drawn = {name: value for name, value in state.items() if isinstance(value, tuple)}
    empty: list[dict[str, Any]] = [{}, {"grad": 0.0}, *({name: 0.0} for name in drawn)]
    empty += [dict.fromkeys(drawn, 0.0)] if len(drawn) > 1 else []
    start, grads = [], []
    for without in empty:
        start.append(_start(random, (2,), state) | {n: _filled(0.0, (2,)) for n in without if n != "grad"})
        grads.append([0.0, 0.0] if "grad" in without else numbers(random, (2,)))
    made: dict[str, Any] = {"steps": 1, "dtype": "float64", "hyper": hyper, "start": start}
    if gradient == "list":
        made["grads"] = [grads]
    else:
        made["curvature"] = [numbers(random, (2,), 0.3, 3.0) for _ in empty]
        made["center"] = [
            s["w"] if "grad" in without else numbers(random, (2,)) for s, without in zip(start, empty, strict=True)
        ]
    made["text"] = f"single steps from given states, {_named(hyper)}"
    return made


def dropping(lr: float, steps: int = 5) -> list[float]:
    """A learning rate per step that drops to a tenth half-way: the forms of momentum part there."""
    return [lr if s < steps // 2 else round(lr / 10, 6) for s in range(steps)]


def short(value: Any) -> str:
    """A value as it reads in the description of a case."""
    if isinstance(value, list):
        changed = next((k for k, v in enumerate(value) if v != value[0]), None)
        return (
            short(value[0])
            if changed is None
            else f"{short(value[0])}, from step {changed + 1} on {short(value[changed])}"
        )
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _start(random: Random, shape: tuple[int, ...], state: Start) -> Start:
    drawn = {k: numbers(random, shape, *v) if isinstance(v, tuple) else _filled(v, shape) for k, v in state.items()}
    return {"w": numbers(random, shape), **drawn}


def _filled(value: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(value, float) or not shape:
        return value
    return [_filled(value, shape[1:]) for _ in range(shape[0])]


def _named(hyper: dict[str, Any]) -> str:
    return ", ".join(f"{name}={short(value)}" for name, value in hyper.items())
