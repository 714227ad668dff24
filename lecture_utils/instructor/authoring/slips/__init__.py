"""Generic slips: what people change by mistake in any function, found by a search over the reference's syntax tree.

Each operator is a function that is given one node, and yields (what a student is told, edit). The words name the line
and the thing, and do not spell out the repair.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.exercise import Exercise, Slip
from lecture_utils.instructor.authoring.slips import arithmetic, calls, names, statements
from lecture_utils.instructor.authoring.slips.places import Arguments, Place, Told, expressions_of, places_in

__all__ = ["Arguments", "generic", "in_tree", "untold"]

STATEMENTS: tuple[Callable[[ast.stmt, Place], Told], ...] = (
    statements.constants, statements.returned, statements.reused, statements.accumulated, statements.order, statements.lines_left_out, statements.early_returns,
)  # fmt: skip
EXPRESSIONS: tuple[tuple[Any, Callable[[Any, Place], Told]], ...] = (
    (ast.BinOp, arithmetic.sums),
    (ast.BinOp, arithmetic.products),
    (ast.BinOp, arithmetic.powers),
    (ast.BinOp, calls.roots_with_more),
    (ast.BinOp, calls.inside_of_calls),
    (ast.UnaryOp, arithmetic.signs),
    (ast.Call, calls.other_functions),
    (ast.Call, calls.exponentials),
    (ast.Call, calls.arguments_of_calls),
    (ast.Call, calls.insides),
    (ast.Name, names.names),
    (ast.Constant, names.numbers),
    (ast.Subscript, names.subscripts),
    (ast.Compare, names.comparisons),
    (ast.BoolOp, names.conjunctions),
    (ast.IfExp, names.choices),
)


def generic(exercise: Exercise, known: Arguments) -> list[Slip]:
    """All generic slips of an exercise, those first that are told when two behave alike.

    Raises ``CourseError`` for what the rubric says of phrases that do not come.
    """
    phrases = [phrase for phrase, _ in _phrases(exercise.tree, known)]
    unused = [b for b in exercise.off if not any(p.startswith(b) for p in phrases)]
    if unused := [*unused, *(set(exercise.words) - set(phrases))]:
        raise CourseError(
            f"{exercise.file}: {exercise.name}: no generic slip is worded so any more: {'; '.join(unused)}"
        )
    return [*in_tree(exercise, exercise.tree, known)]


def in_tree(exercise: Exercise, tree: ast.Module, known: Arguments) -> Iterator[Slip]:
    """The generic slips in a tree: of the reference, or of a mistake in which another one is made."""
    return (slip for slip, is_off in _made(exercise, tree, known) if not is_off)


def untold(exercise: Exercise, known: Arguments) -> list[Slip]:
    """Those that the author has switched off."""
    return [slip for slip, is_off in _made(exercise, exercise.tree, known) if is_off]


def _made(exercise: Exercise, tree: ast.Module, known: Arguments) -> Iterator[tuple[Slip, bool]]:
    seen: dict[str, int] = {}
    for phrase, edit in _phrases(tree, known):
        if edit:
            seen[phrase] = seen.get(phrase, 0) + 1
            name = phrase if seen[phrase] == 1 else f"{phrase} ({seen[phrase]})"
            is_off = any(phrase.startswith(beginning) for beginning in exercise.off)
            yield Slip(name, exercise.words.get(phrase, phrase), edit=edit), is_off


def _phrases(tree: ast.Module, known: Arguments) -> Told:
    for place in places_in(tree, known):
        yield from _told(place)


def _told(place: Place) -> Told:
    for operator in STATEMENTS:
        yield from operator(place.statement, place)
    for node in expressions_of(place.statement):
        for kinds, operator in EXPRESSIONS:
            if isinstance(node, kinds):
                yield from operator(node, place)
    yield from statements.whole_results(place.statement, place)
