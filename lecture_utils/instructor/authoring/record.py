"""Rubrics in, recorded numbers out: what checks.json and checks.npz hold.

Of every wrong behaviour, single slips and pairs of them, only a sketch is kept (``checks.sketch``).
"""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import re
import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from itertools import combinations, islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from lecture_utils.checks.observers import interpret, perform
from lecture_utils.checks.sketch import PART, WHOLE, Part, Sketch, Tables, close, joint_cells, sketch
from lecture_utils.checks.traces import Trace, same
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring import slips
from lecture_utils.instructor.authoring.exercise import Exercise, Slip
from lecture_utils.instructor.authoring.trees import Edit

PUBLIC_SEED = 12
RECORDING_LIMIT = 600.0  # seconds per function: a busy machine must not change what is recorded of our own rubrics
SLIP_LIMIT = 2.0  # seconds for a slip, which may never end
PAIRED_MISTAKES = 40  # generic slips that are tried in each mistake that is a function of its own


def load_rubrics(folder: Path) -> dict[str, Exercise]:
    """All exercises of the rubric files in ``folder``, in the order of the notebooks."""
    exercises: dict[str, Exercise] = {}
    for file in sorted(p for p in folder.glob("*.py") if not p.is_symlink()):  # what is run here is the course's own
        spec = importlib.util.spec_from_file_location(f"rubrics_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where inspect looks for the source of a class
        spec.loader.exec_module(module)
        found = [v for v in vars(module).values() if isinstance(v, Exercise)]
        for each in {id(e): e for e in [*found, *getattr(module, "EXERCISES", [])]}.values():
            if each.name in exercises:
                raise CourseError(f"{file}: the exercise {each.name} is defined twice")
            each.folder = folder
            exercises[each.name] = each
    return exercises


@dataclass
class Record:
    """An exercise with its cases and what was seen on them. ``survivors`` are slips that no case tells from the reference."""

    exercise: Exercise
    cases: list[dict]
    reference: list[Trace]
    right: Sketch | None = None
    slips: list[Slip] = field(default_factory=list)
    sketches: list[Sketch] = field(default_factory=list)
    survivors: list[Slip] = field(default_factory=list)
    pairs: np.ndarray = field(default_factory=lambda: np.zeros((0, WHOLE), np.float32))
    joint: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, PART), np.float32))
    which: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.uint16))

    @property
    def tables(self) -> Tables:
        layout = list(self.right.parts)
        singles = np.array([s.whole for s in self.sketches], np.float32).reshape(-1, WHOLE)
        parts = np.array([s.row(layout) for s in self.sketches], np.float32).reshape(
            len(self.sketches), len(layout), PART
        )
        return Tables(singles, parts, self.pairs, self.joint, self.which)


def see(exercise: Exercise, answer: Any, cases: list[dict], limit: float = SLIP_LIMIT) -> tuple[list[Trace], Sketch]:
    """What comes back of an answer, as it is compared, and its sketch."""
    with _unheard():
        raw = perform(answer, exercise.observer, cases, limit)
    seen = interpret(raw, exercise.observer, cases)
    return seen, sketch(raw, seen, exercise.observer, cases)


@contextmanager
def _unheard() -> Iterator[None]:
    """What wrong answers print, and what torch warns them of, is theirs."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def cases_of(exercise: Exercise, seed: int | str = PUBLIC_SEED) -> list[dict]:
    """Drawn, through JSON and back: the reference is observed on the very numbers that students get."""
    if exercise.draw is None:
        raise CourseError(f"{exercise.file}: {exercise.name} has no cases.")
    return json.loads(json.dumps(exercise.draw(Random(seed))))


def reference_of(exercise: Exercise, cases: list[dict]) -> tuple[list[Trace], Sketch]:
    """What the reference gives. Raises ``CourseError`` where it fails: every answer that fails there would count as right."""
    seen, right = see(exercise, exercise.reference, cases, RECORDING_LIMIT)
    for case, trace in zip(cases, seen, strict=True):
        if trace.problem:
            raise CourseError(
                f"The rubric of {exercise.name} ({exercise.notebook}): its own reference fails. {trace.problem} "
                f"Case: {case['text']}."
            )
        scale = exercise.observer.scale_of
        trace.entries = [replace(e, scale=scale(case, trace, e)) for e in trace.entries]
    return seen, right


def record(exercise: Exercise, pairs: bool = True) -> Record:
    """Everything that is recorded of an exercise. Raises ``CourseError`` for slips that cannot be told apart."""
    cases = cases_of(exercise)
    reference, right = reference_of(exercise, cases)
    made = Record(exercise, cases, reference, right)
    told = slips.generic(exercise, _arguments(exercise))
    for slip in [*exercise.slips, *told]:
        _record_slip(made, slip)
    for slip in slips.untold(exercise, _arguments(exercise)):  # each must be refused all the same
        _record_slip(made, slip, tell=False)
    _demand_that_cases_tell(made)
    if pairs:
        _record_pairs(made)
    return made


def _demand_that_cases_tell(made: Record) -> None:
    """Every change of the reference must show in some case, or be known to change nothing."""
    exercise, survivors = made.exercise, {s.name for s in made.survivors}
    if unknown := survivors - set(exercise.equivalents):
        raise CourseError(
            f"{exercise.file}: the cases of {exercise.name} cannot tell from the reference: {'; '.join(sorted(unknown))} "
            "Draw cases that do, or say .equivalent(…) with the reason why it changes nothing."
        )
    if stale := set(exercise.equivalents) - survivors:
        raise CourseError(
            f"{exercise.file}: {exercise.name}: said to be equivalent, and it is not: {'; '.join(sorted(stale))}"
        )


def _record_slip(made: Record, slip: Slip, tell: bool = True) -> None:
    exercise, hand_written = made.exercise, slip in made.exercise.slips
    try:
        answer = exercise.answer(slip)
    except Exception as error:
        if hand_written:
            raise CourseError(
                f"{exercise.file}: the slip {slip.name} of {exercise.name} cannot be run: {error}"
            ) from None
        return
    seen, found = see(exercise, answer, made.cases, 10 * SLIP_LIMIT if hand_written else SLIP_LIMIT)
    if all(same(a, b, exercise.rtol) for a, b in zip(seen, made.reference, strict=True)):
        if hand_written:
            raise CourseError(
                f"{exercise.file}: the cases of {exercise.name} cannot tell the slip {slip.name} from the reference."
            )
        made.survivors.append(slip)
        return
    if not tell or (not hand_written and _nothing_comes(seen)):
        return  # any other error of its kind would get its name
    if np.abs(found.whole - made.right.whole).max() <= 1e-7 * (1 + np.abs(made.right.whole).max()):
        found = Sketch(
            found.whole + np.float32(len(made.slips) + 100), found.parts
        )  # differs in cases that are not exact
    for other, theirs in zip(made.slips, made.sketches, strict=True):
        if close(theirs.whole, found.whole):
            if hand_written and other.message != slip.message:
                raise CourseError(
                    f"{exercise.file}: {exercise.name}: the slips {other.name} and {slip.name} behave alike in all cases, and "
                    "say different things. Draw cases that tell them apart, or give them one message."
                )
            return
    made.slips.append(slip)
    made.sketches.append(found)


def _nothing_comes(traces: list[Trace]) -> bool:
    return all(t.problem and not t.entries for t in traces)


def constants_of(exercise: Exercise) -> dict[str, tuple[float, ...]]:
    """Numbers that the notebook keeps in variables with the names of arguments: who forgets `def`'s own uses those."""
    source = exercise.folder.parent / f"{exercise.notebook}.py"
    if not source.exists():
        return {}
    found = re.findall(
        r"^(\w+) = (-?\d+\.?\d*(?:e-?\d+)?)\s*(?:#.*)?$", source.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name: (float(value),) for name, value in found if name in exercise.observer.arguments}


def _arguments(exercise: Exercise) -> slips.Arguments:
    given = [item for args in _given(exercise) for item in args.items()]
    numbers = {name for name, value in given if isinstance(value, (int, float))}
    counts = {name for name, value in given if type(value) is int}
    return slips.Arguments(frozenset(numbers), frozenset(counts), constants_of(exercise))


def _given(exercise: Exercise) -> list[dict[str, Any]]:
    """The arguments of all calls in the cases: of an update rule its hyperparameters."""
    given = []
    for c in cases_of(exercise):
        steps = c.get("hyper", {}).items()
        given += [{name: v[0] if isinstance(v, list) else v for name, v in steps}]
        given += (c.get("calls") or {"": c.get("args") or {}}).values()
    return given


# --- two at once -------------------------------------------------------------------------------------------------


def _record_pairs(made: Record) -> None:
    """All pairs of edits of the reference, and generic slips in mistakes that are functions of their own."""
    exact = [c for c in made.cases if made.exercise.observer.is_exact(c)]
    if made.exercise.observer.slow or not exact:
        return  # each result tells by itself there, and a run takes a process
    known = np.array([made.right.whole, *(s.whole for s in made.sketches)], np.float32)
    layout, cells = list(made.right.parts), joint_cells(made.right, made.exercise.observer, made.cases)
    rows = [(a, b, found.whole, found.row(layout)[cells]) for a, b, found in _sketched(made)]
    whole = np.array([r[2] for r in rows], np.float32).reshape(-1, WHOLE)
    keep = _new(whole, known)
    made.pairs = whole[keep]
    made.which = np.array([r[:2] for r in rows], np.uint16).reshape(-1, 2)[keep]
    made.joint = np.array([r[3] for r in rows], np.float32).reshape(len(rows), len(cells), PART)[keep]


def _pairs(made: Record) -> Iterator[tuple[int, int, ast.Module | None, Edit]]:
    """(index of a slip, of another, the tree that is changed if not the reference's, the change)."""
    edits = [(k, s) for k, s in enumerate(made.slips) if s.edit]
    for (a, one), (b, two) in combinations(edits, 2):
        if not set(one.edit) & set(two.edit):
            yield a, b, None, one.edit | two.edit
    by_phrase = {s.message: k for k, s in enumerate(made.slips)}
    known = _arguments(made.exercise)
    for k, slip in enumerate(made.slips):
        if slip.tree is not None:
            others = (s for s in slips.in_tree(made.exercise, slip.tree, known) if s.message in by_phrase)
            for other in islice(others, PAIRED_MISTAKES):
                yield k, by_phrase[other.message], slip.tree, other.edit


def _sketched(made: Record) -> Iterator[tuple[int, int, Sketch]]:
    """The sketches of all pairs that make a program from which anything comes back."""
    exercise, layout = made.exercise, list(made.right.parts)
    parts = {layout[cell] for cell in joint_cells(made.right, exercise.observer, made.cases)}
    for a, b, tree, edit in _pairs(made):
        with suppress(Exception):  # two edits may not make a program
            if found := _exact_sketch(exercise, exercise.changed(edit, tree), made.cases, parts):
                yield a, b, found


def _exact_sketch(exercise: Exercise, answer: Any, cases: list[dict], parts: Collection[Part] = ()) -> Sketch | None:
    """The sketch, without running the cases that do not go into it; None where nothing ever comes back."""
    observer, empty = exercise.observer, Trace()
    exact = [c for c in cases if observer.is_exact(c)]
    with _unheard():
        came = perform(answer, observer, exact, SLIP_LIMIT)
    if _nothing_comes(came):
        return None
    raw = iter(came)
    traces = [next(raw) if observer.is_exact(c) else empty for c in cases]
    seen = traces if observer.raw_tells() else interpret(traces, observer, cases)
    return sketch(traces, seen, observer, cases, parts)


def _new(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The indices of rows that are no known sketch and no earlier row, to the tolerance."""
    order = np.argsort(known[:, 0])
    sorted_known = known[order]
    keep, buckets = [], {}
    for i, row in enumerate(rows):
        if not np.isfinite(row).all() or _among(row, sorted_known):
            continue
        key = tuple(np.round(row / 1e-3).astype(np.int64))
        near = [j for shift in (-1, 0, 1) for j in buckets.get((key[0] + shift, key[1]), ())]
        if any(close(rows[j], row) for j in near):
            continue
        buckets.setdefault(key[:2], []).append(i)
        keep.append(i)
    return np.array(keep, int)


def _among(row: np.ndarray, ordered: np.ndarray) -> bool:
    low, high = np.searchsorted(ordered[:, 0], [row[0] - 1e-2, row[0] + 1e-2])
    return bool(close(ordered[low:high], row).any())
