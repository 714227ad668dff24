"""What grading has left of each student: results from the graded notebooks, with what the gradebook adds to them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.results import (
    BY_HAND,
    DAMAGED,
    FAILED,
    METADATA,
    MISSING,
    Result,
    results_in,
    sentences,
)


@dataclass(frozen=True)
class Marked(Result):
    """A result as the gradebook has it: ``points`` are those that count, given by a person or by its check."""

    waiting: bool = False  # for a person
    comment: str = ""


@dataclass(frozen=True)
class Submission:
    """One student. ``late`` and ``seconds`` (of grading) are seconds, ``error`` is why it could not be graded."""

    student: str
    results: tuple[Marked, ...] = ()
    name: str = ""  # as "Last, First", if the gradebook knows it
    penalty: float = 0.0
    late: float = 0.0
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()  # what was found on the way, and what happened in the kernel
    moved: tuple[str, ...] = ()  # cells that were put back
    problems: dict[str, str] = field(default_factory=dict)  # notebooks that could not be used, and why

    @property
    def points(self) -> float:
        return max(0.0, sum(r.points for r in self.results) - self.penalty)

    @property
    def of(self) -> float:
        return sum(r.of for r in self.results)

    @property
    def settled(self) -> list[Marked]:
        """All but what waits to be graded by hand: that says nothing yet."""
        return [r for r in self.results if not (r.waiting and r.kind == BY_HAND)]

    @property
    def share(self) -> float:
        """Of the points that are settled, 0 to 1."""
        return max(0.0, sum(r.points for r in self.settled) - self.penalty) / (sum(r.of for r in self.settled) or 1)

    @property
    def counts(self) -> bool:
        """Whether its points say something about the student: not so if grading itself failed."""
        return bool(self.results) and not any(r.kind == FAILED for r in self.results)


@dataclass(frozen=True)
class Grade:
    """A row of the gradebook."""

    notebook: str
    exercise: str
    points: float
    of: float
    by_person: bool
    waiting: bool


def collect(
    course: Course, gradebook: Any, student: str | None = None, told: dict[str, Any] | None = None
) -> list[Submission]:
    """Everybody who handed something in, or one ``student``, by id. Raises ``CourseError`` if nothing is graded.

    ``told`` is what `grade` has to tell of the student, if it is not in its records yet.
    """
    from nbgrader.api import MissingEntry, Student, SubmittedAssignment  # half a second, only if there is a gradebook

    try:
        gradebook.find_assignment(course.assignment)
    except MissingEntry:
        raise CourseError(
            f"Nothing is graded of {course.assignment!r}: python3 -m lecture_utils grade {course.assignment}"
        ) from None
    grades, comments = _grades(course, gradebook, student), _comments(course, gradebook, student)
    records = {student: told} if student and told else _records(course, student)
    query = gradebook.db.query(SubmittedAssignment, Student).join(Student).join(SubmittedAssignment.assignment)
    query = query.filter_by(name=course.assignment)
    found = {}
    for handed_in, person in query.filter(SubmittedAssignment.student_id == student) if student else query:
        told = records.pop(person.id, {})
        name = ", ".join(filter(None, [person.last_name, person.first_name]))
        found[person.id] = _submission(course, person.id, grades[person.id], comments[person.id], told) | {
            "name": name, "penalty": handed_in.late_submission_penalty or 0.0, "late": handed_in.total_seconds_late,
        }  # fmt: skip
    for unknown, told in records.items():  # to the gradebook
        found[unknown] = _submission(course, unknown, [], {}, told)
    return [Submission(**found[student]) for student in sorted(found)]


def read_notebook(path: Path) -> dict[str, Any]:
    """A graded notebook as plain data, {} if there is none. It was written here, so that nothing is checked again."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _submission(
    course: Course, student: str, grades: list[Grade], comments: dict, told: dict[str, Any]
) -> dict[str, Any]:
    """What ``Submission`` is made of, but for what stands in the gradebook's own row of it."""
    names = sorted({grade.notebook for grade in grades})
    graded = {name: read_notebook(course.autograded(student) / f"{name}.ipynb") for name in names}
    metadata = {name: notebook["metadata"] for name, notebook in graded.items() if notebook}
    known = {(r.notebook, r.exercise): r for data in metadata.values() for r in results_in(data)}
    problems = {str(k): str(v) for k, v in (told.get("problems") or {}).items()}
    results = []
    for grade in grades:
        result = known.get((grade.notebook, grade.exercise)) or _without_check(grade, metadata, problems, told)
        comment = comments.pop((grade.notebook, f"{grade.exercise}-answer"), None)
        comment = comments.pop((grade.notebook, grade.exercise), None) or comment or ""
        waiting = grade.waiting and grade.notebook in metadata
        given = {"points": grade.points, "of": grade.of, "waiting": waiting, "comment": comment}
        results.append(Marked(**asdict(result) | given))
    return {
        "student": student, "results": tuple(results), "problems": problems, "error": told.get("error") or "",
        "seconds": told.get("seconds") or sum(m.get(METADATA, {}).get("seconds", 0.0) for m in metadata.values()),
        "notes": _unique([
            *told.get("notes", []), *_of_notebooks(metadata, "notes"),
            *(f"{notebook}: comment on {cell}: {text}" for (notebook, cell), text in comments.items()),
        ]),
        "moved": _unique(_of_notebooks(metadata, "moved")),
    }  # fmt: skip


def _without_check(grade: Grade, metadata: dict, problems: dict[str, str], told: dict[str, Any]) -> Result:
    """The result of an exercise that no check has judged."""
    kind, message = MISSING, ""
    if (
        grade.notebook in metadata
    ):  # a text that is as it was given out gets 0 points from nbgrader, and waits for nobody
        kind = BY_HAND if grade.waiting or grade.by_person else "not_written"
    elif told.get("error"):
        kind, message = FAILED, str(told["error"])
    elif grade.notebook in problems:
        kind, message = DAMAGED, problems[grade.notebook]
    return Result(grade.notebook, grade.exercise, grade.points, grade.of, kind, message=message)


def _of_notebooks(metadata: dict[str, dict], key: str) -> list[str]:
    return [f"{name}: {text}" for name, data in metadata.items() for text in sentences(data, key)]


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, texts)))


def _records(course: Course, student: str | None) -> dict[str, dict[str, Any]]:
    """What `grade` noted of each submission."""
    paths = [course.records / f"{student}.json"] if student else course.records.glob("*.json")
    return {record["student"]: record for record in map(read_notebook, paths) if "student" in record}


# --- the gradebook: one query for all, as its objects would ask the database again for each of ten thousand grades ---


def _grades(course: Course, gradebook: Any, student: str | None) -> dict[str, list[Grade]]:
    """By student."""
    from nbgrader import api

    most = {}
    for kind in (api.GradeCell, api.TaskCell):
        cells = gradebook.db.query(api.Notebook.name, kind.name, kind.max_score).join(kind.notebook)
        cells = cells.join(api.Notebook.assignment).filter(api.Assignment.name == course.assignment)
        most |= {(notebook, name): of for notebook, name, of in cells}
    row, found = api.Grade, defaultdict(list)
    for owner, notebook, name, points, manual, waiting in _rows(
        course, gradebook, student, row, row.score, row.manual_score, row.needs_manual_grade
    ):
        of = most[notebook, name]
        found[owner].append(Grade(notebook, name, points, of, manual is not None, bool(waiting)))
    return found


def _comments(course: Course, gradebook: Any, student: str | None) -> dict[str, dict[tuple[str, str], str]]:
    """By student, then by notebook and cell."""
    from nbgrader import api

    found = defaultdict(dict)
    for owner, notebook, name, text in _rows(course, gradebook, student, api.Comment, api.Comment.manual_comment):
        if text and text.strip():  # nbgrader's own says only "No response."
            found[owner][notebook, name] = text
    return found


def _rows(course: Course, gradebook: Any, student: str | None, row: Any, *columns: Any) -> Any:
    """Student, notebook, cell and ``columns`` of each ``row`` of the assignment, by notebook."""
    from nbgrader import api

    handed_in = api.SubmittedAssignment
    query = gradebook.db.query(handed_in.student_id, api.Notebook.name, api.BaseCell.name, *columns)
    query = query.select_from(row).join(row.cell).join(row.notebook).join(api.SubmittedNotebook.notebook)
    query = query.join(api.SubmittedNotebook.assignment).join(handed_in.assignment)
    query = query.filter(api.Assignment.name == course.assignment)
    query = query.filter(handed_in.student_id == student) if student else query
    return query.order_by(handed_in.student_id, api.Notebook.name, api.BaseCell.id)
