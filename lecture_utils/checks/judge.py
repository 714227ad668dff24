"""``judge`` compares a function with recorded numbers; what it finds is put into words by ``explain``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lecture_utils.checks.explain import Finding, Verdict, explain
from lecture_utils.checks.observers import TIME_LIMIT, interpret, perform
from lecture_utils.checks.recorded import Recorded, find_exercise
from lecture_utils.checks.sketch import Named, look_up, sketch
from lecture_utils.checks.traces import Trace, first_difference, same


def judge(
    function: Callable, exercise: str | None = None, checks_file: str | Path | None = None, limit: float = TIME_LIMIT
) -> Verdict:
    """Judge ``function`` as an answer to ``exercise`` (its own name when left out).

    An exercise may want a tuple of functions instead. ``checks_file`` is a checks.json; when left out it is looked for
    beside the working folder and above it. Whatever the function does ends up in the verdict. Raises ``LookupError`` for
    an exercise that no checks.json knows, ``FileNotFoundError`` without a checks.json, ``ValueError`` when a file cannot
    be read, and ``TypeError`` when ``function`` cannot be called.
    """
    name = exercise or getattr(function, "__name__", type(function).__name__)
    recorded = find_exercise(name, checks_file)
    if not all(map(callable, function if isinstance(function, tuple) else (function,))):
        raise TypeError(f"check needs the function {name} itself, without ( ); it got a {type(function).__name__}.")
    raw = perform(function, recorded.observer, recorded.data["cases"], limit)
    return explain(recorded, compare(recorded, raw))


def compare(recorded: Recorded, raw: list[Trace]) -> Finding:
    """What is found in the raw values that an answer gave in the public cases."""
    cases = recorded.data["cases"]
    seen = interpret(raw, recorded.observer, cases)
    finding = difference(cases, seen, recorded.reference, recorded.data["rtol"])
    if finding.case is None:
        return finding
    return Finding(**vars(finding) | {"named": name_mistakes(recorded, raw, seen)})


def name_mistakes(recorded: Recorded, raw: list[Trace], seen: list[Trace]) -> Named | None:
    """Which recorded slips an answer looks like that gave ``raw``, of which ``seen`` is compared."""
    observer, cases = recorded.observer, recorded.data["cases"]
    answer = sketch(raw, seen, observer, cases)
    right = sketch(recorded.reference, recorded.reference, observer, cases)
    return look_up(answer, right, recorded.tables, observer, cases)


def difference(
    cases: list[dict], seen: list[Trace], expected: list[Trace], rtol: float, hidden: bool = False
) -> Finding:
    """The first case in which ``seen`` is not what is ``expected``, and where in it."""
    agrees = [same(a, b, rtol) for a, b in zip(seen, expected, strict=True)]
    if all(agrees):
        return Finding(len(agrees), len(agrees))
    k = agrees.index(False)
    entry = first_difference(seen[k], expected[k], rtol)
    return Finding(sum(agrees), len(agrees), cases[k], seen[k], expected[k], entry, hidden)
