"""Which mistakes an answer behaves like: numbers that tell behaviours apart, and looking them up.

Of each wrong behaviour only a sketch travels: a few fixed combinations of the numbers that came back. Two answers with
the same sketch gave the same numbers, so that a sketch names a mistake without holding a line of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from random import Random

import numpy as np

from lecture_utils.checks.observers import Observer
from lecture_utils.checks.traces import Trace

WHOLE, PART = 3, 2  # numbers in a sketch: of all that came back, of one result
MOST = 6  # slips that are considered for one result
TOLERANCE = 2e-5  # of a sketch, whose numbers are of order 1; far above rounding, far below any mistake

Part = tuple[str, int, int]  # a result, such as "w", and where it was seen: the numbers of the case and of the tensor


@dataclass(frozen=True)
class Sketch:
    """``whole`` (WHOLE,) of all exact cases; ``parts`` (PART,) for each result in each place where it tells by itself."""

    whole: np.ndarray
    parts: dict[Part, np.ndarray]

    def row(self, layout: list[Part]) -> np.ndarray:
        """The parts in a fixed order, as one array (len(layout), PART); nan where one is not there."""
        missing = np.full(PART, np.nan)
        return np.array([self.parts.get(part, missing) for part in layout]).reshape(len(layout), PART)


def sketch(
    raw: list[Trace], seen: list[Trace], observer: Observer, cases: list[dict], only: Collection[Part] | None = None
) -> Sketch:
    """The sketch of what came back, ``raw``, and of what is compared of it, ``seen``; of parts ``only`` some, if so wanted."""
    whole = np.zeros(WHOLE)
    of_result: dict[Part, list[float]] = {}
    for number, (trace, interpreted, case) in enumerate(zip(raw, seen, cases, strict=True)):
        if not observer.is_exact(case):
            continue
        compared = trace if observer.raw_tells() else interpreted
        values = [v for e in compared.entries for v in (_number(e.name), *e.value.shape, *_flat(e.value))]
        values += [len(compared.entries), _mark(compared)]
        whole = whole + _squashed(values) @ _weights(number)[: len(values)]
        for entry in interpreted.entries if only is None or only else []:
            part = (observer.result_of(entry, case), number, entry.tensor)
            if part[0] is not None and (only is None or part in only):
                of_result.setdefault(part, []).extend(_flat(entry.value))
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


def joint_cells(right: Sketch, observer: Observer, cases: list[dict]) -> list[int]:
    """The parts of which pairs are kept, too: results that are made of at least two others, in single steps."""
    layout = list(right.parts)
    if len({result for result, *_ in layout}) < 3:
        return []
    single = [case.get("steps") == 1 for case in cases]
    made = [result in observer.made_of_others and single[number] for result, number, _ in layout]
    return [cell for cell, counts in enumerate(made) if counts]


# --- looking up --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """The sketches of an exercise's mistakes: what checks.npz holds.

    ``singles`` (n, WHOLE) and ``parts`` (n, len(layout), PART) of each single slip, in the order of its slips;
    ``pairs`` (p, WHOLE) and ``joint`` (p, len(joint_cells), PART) of two at once, which are ``which`` (p, 2).
    """

    singles: np.ndarray
    parts: np.ndarray
    pairs: np.ndarray
    joint: np.ndarray
    which: np.ndarray


@dataclass(frozen=True)
class Named:
    """The slips that an answer looks like, by their numbers; ``results`` of each, where results were looked at one by one.

    ``rest``: whether something else must be wrong, too.
    """

    slips: tuple[int, ...]
    results: tuple[str, ...] = ()
    rest: bool = False


def look_up(answer: Sketch, right: Sketch, tables: Tables, observer: Observer, cases: list[dict]) -> Named | None:
    """The first that fits: one slip, two slips, or one for each result that is wrong."""
    for k in np.flatnonzero(close(tables.singles, answer.whole)):
        return Named((int(k),))
    for k in np.flatnonzero(close(tables.pairs, answer.whole)):
        return Named(tuple(map(int, tables.which[k])))
    layout = list(right.parts)
    if not layout or not set(answer.parts) <= set(layout):
        return None
    late = np.array([result in observer.made_of_others for result, *_ in layout])
    evidence = Evidence(answer.row(layout), right.row(layout), tables, joint_cells(right, observer, cases), late)
    named = evidence.by_result([result for result, *_ in layout])
    found_above = named and (len(named.slips) == 1 or evidence.pair(named.slips) is not None)
    if found_above and not observer.raw_tells():  # else the same mistake in another style has other raw values
        return replace(named, rest=True)  # they alone would have been found
    return named


class Evidence:
    """Which cells (a result in a place) are wrong in an answer, and what each slip would make of them.

    ``late`` are the cells of results that are made of others; ``joint`` those of which pairs are known, too.
    """

    def __init__(self, theirs: np.ndarray, ours: np.ndarray, tables: Tables, joint: list[int], late: np.ndarray):
        self.theirs, self.tables, self.joint, self.late = theirs, tables, joint, late
        self.off = ~close(theirs, ours)
        self.acts = ~close(tables.parts, ours)  # (slips, cells): which cells each slip changes,
        self.alike = close(tables.parts, theirs)  # and where it makes of them what the answer has
        self.pairs = {(min(a, b), max(a, b)): k for k, (a, b) in enumerate(tables.which.tolist())}

    def pair(self, slips: Sequence[int]) -> int | None:
        """The number of a known pair."""
        return self.pairs.get((min(slips), max(slips))) if len(slips) == 2 else None

    def by_result(self, results: list[str]) -> Named | None:
        """A slip for each wrong result, and one more for those that are made of others, if it takes one."""
        late, cells = self.late, {r: np.array([other == r for other in results]) for r in dict.fromkeys(results)}
        harmless = ~(self.acts & ~self.off).any(1)  # spoils nothing that is right
        wrong = [r for r in cells if (self.off & cells[r]).any()]
        early = harmless & ~(self.acts & ~self.alike & ~late).any(1)
        wrong.sort(key=lambda r: bool((cells[r] & late).any()))
        fits = {r: np.flatnonzero(early & (self.acts & cells[r]).any(1)) for r in wrong if not (cells[r] & late).any()}
        fits = {r: [int(k) for k in ks if self.alike[k][cells[r]].all()][:MOST] for r, ks in fits.items()}
        more = np.flatnonzero(harmless & ~(self.acts & ~late).any(1) & self.acts.any(1))
        found = self._consistent(fits, [int(k) for k in more]) if all(fits.values()) else None
        chosen = found or tuple(dict.fromkeys(ks[0] for ks in fits.values() if ks))
        if not chosen:
            return None
        named = [next(r for r in wrong if (self.acts[k] & cells[r]).any()) for k in chosen]
        return Named(chosen, tuple(named), rest=not found)

    def _consistent(self, fits: dict[str, list[int]], more: list[int]) -> tuple[int, ...] | None:
        """The fewest slips, one of ``fits`` for each result and at most one ``more``, that explain every cell."""
        sets = sorted({tuple(sorted(set(ks))) for ks in product(*fits.values())}, key=lambda ks: (len(ks), ks))
        for chosen in sets:
            if chosen and self._explains(chosen):
                return chosen
        best, most = None, 0
        for chosen in sets:
            for k in more:
                if (seen := self._explains((*chosen, k), k)) > most:
                    best, most = (*chosen, k), seen
        return best

    def _explains(self, chosen: tuple[int, ...], one: int | None = None) -> int:
        """In how many wrong cells these slips give what the answer has; 0 if they contradict it anywhere.

        Where one slip acts, its own sketch counts. Two may act where a result is made of others: there that of the pair
        counts, if it is known. With ``one`` only the cells count in which that one acts.
        """
        acts = self.acts[list(chosen)]
        many = acts.sum(0)
        if (many[~self.late] > 1).any():
            return 0
        alone = np.where(many == 1, (acts & self.alike[list(chosen)]).any(0), many > 1)
        if (self.off & ~alone).any() or (~self.off & (many == 1)).any():
            return 0
        told = self.off & (many == 1)
        for j, cell in enumerate(self.joint):
            both = [k for k in chosen if self.acts[k, cell]]
            if len(both) == 2 and (row := self.pair(both)) is not None:
                if not close(self.tables.joint[row, j], self.theirs[cell]):
                    return 0
                told[cell] = self.off[cell]
        return int((told & self.acts[one]).sum() if one is not None else told.sum())
