"""Which mistakes an answer behaves like: numbers that tell behaviours apart, and looking them up.

Of each wrong behaviour only a sketch travels: a few fixed combinations of the numbers that came back. Two answers with
the same sketch gave the same numbers, so that a sketch names a mistake without holding a line of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache
from random import Random

import numpy as np

from lecture_utils.checks.observers import Observer
from lecture_utils.checks.traces import Trace

WHOLE, PART = 3, 2  # numbers in a sketch: of all that came back, of one result
TOLERANCE = 2e-5  # of a sketch, whose numbers are of order 1; far above rounding, far below any mistake

Part = tuple[str, str]  # a result, such as "w", and where it was seen, such as case 1, tensor 0


@dataclass(frozen=True)
class Sketch:
    """``whole`` (WHOLE,) of all exact cases; ``parts`` (PART,) for each result in each place where it tells by itself."""

    whole: np.ndarray
    parts: dict[Part, np.ndarray]

    def row(self, layout: list[Part]) -> np.ndarray:
        """The parts in a fixed order, as one array (len(layout), PART); nan where one is not there."""
        missing = np.full(PART, np.nan)
        return np.array([self.parts.get(part, missing) for part in layout]).reshape(len(layout), PART)


def sketch(raw: list[Trace], seen: list[Trace], observer: Observer, cases: list[dict], parts: bool = True) -> Sketch:
    """The sketch of what came back, ``raw``, and of what is compared of it, ``seen``; without ``parts`` if so wanted."""
    whole = np.zeros(WHOLE)
    of_result: dict[Part, list[float]] = {}
    for number, (trace, interpreted, case) in enumerate(zip(raw, seen, cases, strict=True)):
        if not observer.is_exact(case):
            continue
        compared = trace if observer.raw_tells() else interpreted
        values = [v for e in compared.entries for v in (_number(e.name), *e.value.shape, *_flat(e.value))]
        values += [len(compared.entries), _mark(compared)]
        whole = whole + _squashed(values) @ _weights(number)[: len(values)]
        for entry in interpreted.entries if parts else []:
            if (result := observer.result_of(entry, case)) is not None:
                of_result.setdefault((result, f"{number}.{entry.tensor}"), []).extend(_flat(entry.value))
    summed = {part: _squashed(v) @ _weights(-1)[: len(v), :PART] for part, v in of_result.items()}
    return Sketch(whole.astype(np.float32), {p: v.astype(np.float32) for p, v in summed.items()})


def _flat(value) -> list[float]:
    return value.double().flatten().tolist()


def _squashed(values: list[float]) -> np.ndarray:
    """Large numbers by their logarithm, so that they do not drown the others; what is no number by one of the same size."""
    array = np.arcsinh(np.array(values[:LONGEST], dtype=np.float64))
    return np.nan_to_num(array, nan=3.77, posinf=6.13, neginf=-6.13)


def _mark(trace: Trace) -> float:
    """A number for how a trace ends."""
    return 4 * _number("|".join(trace.end())) if trace.problem else 0.0


def _number(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


LONGEST = 20_000  # numbers of one case


@cache
def _weights(case: int) -> np.ndarray:
    """Fixed weights (LONGEST, WHOLE): ``Random.random`` gives the same numbers in every version of Python."""
    random = Random(1000 + case)
    return np.array([random.random() * 2 - 1 for _ in range(LONGEST * WHOLE)]).reshape(LONGEST, WHOLE)


def close(table: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Which rows of a table (…, k) are the sketch ``numbers`` (k,), to the tolerance."""
    return (np.abs(table - numbers) <= TOLERANCE * (1 + np.abs(numbers))).all(-1)


# --- looking up --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """The sketches of an exercise's mistakes: what checks.npz holds.

    ``singles`` (n, WHOLE) and ``parts`` (n, len(layout), PART) of each single slip, in the order of its slips;
    ``pairs`` (p, WHOLE) and ``which`` (p, 2) of two at once.
    """

    singles: np.ndarray
    parts: np.ndarray
    pairs: np.ndarray
    which: np.ndarray


@dataclass(frozen=True)
class Named:
    """The slips that an answer looks like, by their numbers; ``results`` of each, where results were looked at one by one.

    ``rest``: whether something else must be wrong, too.
    """

    slips: tuple[int, ...]
    results: tuple[str, ...] = ()
    rest: bool = False


def look_up(answer: Sketch, right: Sketch, tables: Tables, observer: Observer) -> Named | None:
    """The first that fits: one slip, two slips, or one for each result that is wrong."""
    for k in np.flatnonzero(close(tables.singles, answer.whole)):
        return Named((int(k),))
    for k in np.flatnonzero(close(tables.pairs, answer.whole)):
        return Named(tuple(map(int, tables.which[k])))
    named = _by_result(answer, right, tables, observer.made_of_others)
    found_above = named and (len(named.slips) == 1 or _known_pair(named.slips, tables))
    if found_above and not observer.raw_tells():  # else the same mistake in another style has other raw values
        return replace(named, rest=True)  # they alone would have been found
    return named


def _known_pair(slips: tuple[int, ...], tables: Tables) -> bool:
    return len(slips) == 2 and bool((np.sort(tables.which, 1) == np.sort(slips)).all(1).any())


def _by_result(answer: Sketch, right: Sketch, tables: Tables, made_of_others: tuple[str, ...]) -> Named | None:
    """Slips that explain single results, and spoil nothing that is right: the fewest, those first that touch the least."""
    layout = list(right.parts)
    if not layout or not set(answer.parts) <= set(layout):
        return None
    theirs, ours = answer.row(layout), right.row(layout)
    off = ~close(theirs, ours)  # which parts are wrong in the answer,
    changed = ~close(tables.parts, ours)  # which ones each slip makes wrong,
    alike = close(tables.parts, theirs)  # and where it makes them as the answer has them
    of = {result: np.array([r == result for r, _ in layout]) for result, _ in layout}
    wrong = [r for r in of if (off & of[r]).any()]
    possible = ~(changed & ~off).any(1)
    fits: dict[str, set[int]] = {}
    for result in wrong:
        here = of[result]
        if result in made_of_others:  # can be looked at by itself only where what goes into it is right
            places = {place for (r, place), bad in zip(layout, off, strict=True) if bad and r not in made_of_others}
            here = here & np.array([place not in places for _, place in layout])
        tells = (possible & (alike | ~here).all(1) & (changed & here).any(1)) if (off & here).any() else []
        fits[result] = set(map(int, np.flatnonzero(tells)))
    return _fewest(fits, {k: {r for r in wrong if (changed[k] & of[r]).any()} for ks in fits.values() for k in ks})


def _fewest(fits: dict[str, set[int]], touched: dict[int, set[str]]) -> Named | None:
    """``fits``: the slips that each wrong result looks like; ``touched``: the results that a slip has a part in."""
    chosen: dict[int, str] = {}
    open_ = {r for r, ks in fits.items() if ks}
    while open_:
        k = min(touched, key=lambda k: (-sum(k in fits[r] for r in open_), len(touched[k]), k))
        named = [r for r in fits if r in open_ and k in fits[r]]
        chosen[k] = named[0]
        open_ -= set(named)
    if not chosen:
        return None
    explained = set().union(*(touched[k] for k in chosen))
    return Named(tuple(chosen), tuple(chosen.values()), rest=not set(fits) <= explained)
