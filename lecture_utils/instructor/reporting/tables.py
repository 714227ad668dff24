"""Tables as CSV: for spreadsheets, and for Canvas. Every field is quoted, and none is run as a formula."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lecture_utils.instructor.grading.disarm import mark
from lecture_utils.instructor.reporting.results import Submission

# A formula begins a field; some programs begin a field behind signs that others take for text, even in quotes.
_FORMULA = re.compile(r"""(^|[;|\t\r\n])(['" ]{0,20})(?=[=+\-@＝＋－＠﹦﹢﹣﹫\t\r])""")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def exercise_rows(submissions: list[Submission]) -> list[list[Any]]:
    """One row per student and exercise, after the headings."""
    rows = [[s.student, r.notebook, r.exercise, _rounded(r.points), _rounded(r.of), r.kind, r.misconception, r.message]
            for s in submissions for r in s.results]  # fmt: skip
    return [["student", "notebook", "exercise", "points", "of", "kind", "misconception", "message"], *rows]


def canvas_rows(submissions: list[Submission], assignment: str) -> list[list[Any]]:
    """What Canvas takes under Grades → Import.

    Canvas wants the columns Student, ID, (SIS User ID,) SIS Login ID, Section first, under these names; every further
    column is an assignment, found by its title, or offered to be made. A row whose first cell has "Points Possible"
    says what each is worth. Students are found by ID, else by SIS User ID, else by SIS Login ID, else by name; an empty
    cell changes nothing. (Canvas' own reader: lib/gradebook_importer.rb.) Canvas adds up what it is given: delete the
    total's column, or those of the notebooks, before importing. Late penalties are in the total only.
    """
    worth: dict[str, dict[str, float]] = defaultdict(dict)
    for r in (r for s in submissions for r in s.results):
        worth[r.notebook][r.exercise] = r.of
    names = sorted(worth)
    each = [_rounded(sum(worth[n].values())) for n in names]
    total = _rounded(sum(sum(w.values()) for w in worth.values()))
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *names, f"{assignment} total"],
            ["    Points Possible", "", "", "", "", *each, total]]  # fmt: skip
    for s in submissions:
        scores = [_rounded(sum(r.points for r in s.results if r.notebook == n)) for n in names] + [_rounded(s.points)]
        rows.append([s.name or s.student, "", "", s.student, "", *(scores if s.counts else [""] * len(scores))])
    return rows


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write the rows, in one piece."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[no_formula(value) for value in row] for row in rows])
    new.replace(path)


def no_formula(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, or that hides something, marked as text. Numbers stay."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"\1'\2", mark(value))


def _rounded(value: float) -> float:
    return round(value, 2)
