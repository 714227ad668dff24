"""`report`: what grading has left, as plain data, and written out as a page (``page.py``) and as tables in CSV."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError


@dataclass(frozen=True)
class Result:
    """One student's work on one exercise. ``kind`` is that of its verdict, or "by_hand", "missing", "failed"."""

    notebook: str
    exercise: str
    points: float
    of: float
    kind: str
    misconception: str = ""
    message: str = ""
    waiting: bool = False  # for a person


@dataclass(frozen=True)
class Submission:
    """One student. ``late`` and ``seconds`` (of grading) are seconds, ``error`` is why it could not be graded."""

    student: str
    results: tuple[Result, ...] = ()
    name: str = ""  # as "Last, First", if the gradebook knows it
    penalty: float = 0.0
    late: float = 0.0
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()  # repairs, and what happened in the kernel

    @property
    def points(self) -> float:
        return max(0.0, sum(r.points for r in self.results) - self.penalty)

    @property
    def of(self) -> float:
        return sum(r.of for r in self.results)

    @property
    def settled(self) -> list[Result]:
        """All but what waits to be graded by hand: that says nothing yet."""
        return [r for r in self.results if not (r.waiting and r.kind == "by_hand")]

    @property
    def share(self) -> float:
        """Of the points that are settled, 0 to 1."""
        return max(0.0, sum(r.points for r in self.settled) - self.penalty) / (sum(r.of for r in self.settled) or 1)

    @property
    def counts(self) -> bool:
        """Whether its points say something about the student: not so if grading itself failed."""
        return bool(self.results) and not any(r.kind == "failed" for r in self.results)


def report(assignment: str = ASSIGNMENT, db: str | None = None, root: Path = ROOT) -> Path:
    """Write ``report/index.html``, the tables beside it, and ``grades.csv``; the page's path. Raises ``CourseError``."""
    from nbgrader.api import MissingEntry
    from nbgrader.plugins import CsvExportPlugin

    from lecture_utils.instructor.grading.batch import open_gradebook
    from lecture_utils.instructor.reporting.page import page

    with open_gradebook(root, db) as gradebook:
        try:
            submissions = collect(gradebook, assignment, root)
        except MissingEntry:
            raise CourseError(
                f"Nothing is graded of {assignment!r}: python3 -m lecture_utils grade {assignment}"
            ) from None
        CsvExportPlugin(to=str(root / "grades.csv")).export(gradebook)
        with (root / "grades.csv").open(newline="", errors="surrogateescape") as file:
            grades = list(csv.reader(file))
        _write_csv(root / "grades.csv", grades)  # as nbgrader wrote it, without formulas
    folder = root / "report"
    folder.mkdir(exist_ok=True)
    _write_csv(folder / "exercises.csv", exercise_rows(submissions))
    _write_csv(folder / "canvas.csv", canvas_rows(submissions, assignment))
    (folder / "index.html").write_text(page(submissions, assignment), encoding="utf-8")
    return folder / "index.html"


# --- what grading has left ---------------------------------------------------------------------------------------


def collect(gradebook: Any, assignment: str, root: Path) -> list[Submission]:
    """Everybody who handed something in, by id: points from the gradebook, the rest from what lies in ``autograded/``."""
    from nbgrader.api import BaseCell, Grade, Notebook, SubmittedAssignment, SubmittedNotebook

    known = gradebook.find_assignment(assignment)
    most = {(n.name, c.name): c.max_score for n in known.notebooks for c in [*n.grade_cells, *n.task_cells]}
    records = {
        r["student"]: r for p in (root / "autograded" / ".records" / assignment).glob("*.json") if (r := _json(p))
    }
    # One query: the attributes of nbgrader's objects would ask the database for each of some ten thousand grades.
    query = gradebook.db.query(
        SubmittedAssignment.student_id, Notebook.name, BaseCell.name, Grade.score, Grade.manual_score, Grade.needs_manual_grade
    ).select_from(Grade).join(Grade.cell).join(Grade.notebook).join(SubmittedNotebook.notebook)  # fmt: skip
    query = query.join(SubmittedNotebook.assignment).filter(SubmittedAssignment.assignment_id == known.id)
    grades = defaultdict(list)
    for student, *grade in query.order_by(Notebook.name):
        grades[student].append(grade)
    submissions = {}
    for s in known.submissions:
        student, record = s.student, records.get(s.student_id, {})
        folder = root / "autograded" / student.id / assignment
        graded = {name: _verdicts(folder / f"{name}.ipynb") for name in {g[0] for g in grades[student.id]}}
        results = []
        for notebook, exercise, points, manual, waiting in grades[student.id]:
            found = (graded[notebook] or {}).get(exercise, {})
            absent = "failed" if record.get("error") else "missing"
            if graded[notebook]:  # a text that is as it was given out gets 0 points from nbgrader, and waits for nobody
                absent = "by_hand" if waiting or manual is not None else "not_written"
            kind, text = found.get("kind", absent), str(found.get("message", ""))
            results.append(Result(notebook, exercise, points, most[notebook, exercise], kind,
                                  str(found.get("misconception") or ""), text, bool(waiting and graded[notebook])))  # fmt: skip
        runs = {name: g[""] for name, g in graded.items() if g}
        notes = [
            *record.get("notes", []),
            *(f"{n}: {t}" for n, r in sorted(runs.items()) for k in ("repairs", "notes") for t in r.get(k, [])),
        ]
        notes = list(dict.fromkeys(notes))  # what happened again in another run of the notebook, once
        submissions[student.id] = Submission(
            student.id, tuple(results), ", ".join(filter(None, [student.last_name, student.first_name])),
            s.late_submission_penalty or 0.0, s.total_seconds_late,
            record.get("seconds") or sum(r.get("seconds", 0) for r in runs.values()), record.get("error", ""), tuple(notes),
        )  # fmt: skip
    for student, r in records.items():  # those that the gradebook has never seen
        submissions.setdefault(
            student, Submission(student, seconds=r["seconds"], error=r["error"], notes=tuple(r["notes"]))
        )
    return [submissions[student] for student in sorted(submissions)]


def _verdicts(path: Path) -> dict[str, dict] | None:
    """The verdicts in a graded notebook by grade id, what is known of its run as ""; None if there is no notebook."""
    if not (notebook := _json(path)):
        return None
    found = {"": notebook["metadata"].get("lecture_utils", {})}
    for cell in notebook["cells"]:
        entry = cell["metadata"].get("nbgrader", {})
        if (
            entry.get("locked") and "lecture_utils" in cell["metadata"]
        ):  # in their own cells students write what they like
            found[entry["grade_id"]] = cell["metadata"]["lecture_utils"]
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


# --- tables as CSV -----------------------------------------------------------------------------------------------


def exercise_rows(submissions: list[Submission]) -> list[list[Any]]:
    """One row per student and exercise, after the headings."""
    rows = [[s.student, r.notebook, r.exercise, _number(r.points), _number(r.of), r.kind, r.misconception, r.message]
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
    each = [_number(sum(worth[n].values())) for n in names]
    total = _number(sum(sum(w.values()) for w in worth.values()))
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *names, f"{assignment} total"],
            ["    Points Possible", "", "", "", "", *each, total]]  # fmt: skip
    for s in submissions:
        scores = [_number(sum(r.points for r in s.results if r.notebook == n)) for n in names] + [_number(s.points)]
        rows.append([s.name or s.student, "", "", s.student, "", *(scores if s.counts else [""] * len(scores))])
    return rows


def _write_csv(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([[_no_formula(v) for v in row] for row in rows])


def _no_formula(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _number(value: float) -> float:
    return round(value, 2)
