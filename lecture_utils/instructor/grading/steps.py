"""What a kernel is asked to do with a notebook, in which order, and what it is told for that: inputs, and nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked

from lecture_utils.checks.observers import to_json
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.hidden import hidden

Records = dict["Step", dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """One thing to run: a ``cell`` as it is, a check's function on its "public" or "hidden" cases, or all "values".

    ``check`` is the exercise and the cell after which its function was taken: a later definition makes another one.
    """

    what: str
    cell: int
    check: str = ""

    @property
    def name(self) -> str:
        return self.check.partition("@")[0]


def check_cells(nb: NotebookNode) -> dict[int, str]:
    """The locked, automatically graded cells: grade ids by position."""
    cells = enumerate(nb.cells)
    return {i: c.metadata.nbgrader.grade_id for i, c in cells if c.cell_type == "code" and is_grade(c) and is_locked(c)}


def steps_of(nb: NotebookNode, course: Course) -> list[Step]:
    """Cells and checks in their order, then questions and hidden cases.

    A function's check comes again after the last cell that gives its name a new meaning.
    """
    checks = {i: name for i, name in check_cells(nb).items() if name in course.recorded}
    due: dict[int, list[Step]] = {}
    functions = {i: name for i, name in checks.items() if course.recorded[name].is_function}
    for i, name in functions.items():
        for place in sorted({i, _last_definition(nb, i)}):
            due.setdefault(place, []).append(Step("public", i, f"{name}@{place}"))
    steps = []
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and not (is_grade(cell) and is_locked(cell)):
            steps.append(Step("cell", i))
        steps += due.get(i, [])
    last = [Step("hidden", step.cell, step.check) for step in steps if step.what == "public"]
    questions = [i for i, name in checks.items() if not course.recorded[name].is_function]
    return steps + [Step("values", i) for i in questions[-1:]] + last


def _last_definition(nb: NotebookNode, check: int) -> int:
    """The last cell that defines what a check is given, if that comes after the check; else the check's own place."""
    names = "|".join(map(re.escape, re.findall(r"\w+", given_to(nb.cells[check].source)))) or "(?!)"
    defines = re.compile(rf"^(?:def|class)\s+(?:{names})\b|^(?:{names})\s*=[^=]", re.MULTILINE)
    later = range(len(nb.cells) - 1, check, -1)
    return next((i for i in later if nb.cells[i].cell_type == "code" and defines.search(nb.cells[i].source)), check)


def given_to(source: str) -> str:
    """``a, b`` of ``check(a, b)`` or ``check_answer("name", a, b)``, which is the course's own text."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    call = next(c for c in calls if ast.unparse(c.func).startswith("check"))
    return ", ".join(ast.unparse(a) for a in call.args if not isinstance(a, ast.Constant))


def withheld_in(steps: list[Step], course: Course) -> list[str]:
    """What is finished and must not be there: unless another exercise of the notebook is to use it."""
    observers = [course.recorded[s.name].observer for s in steps if s.what == "hidden"]
    needed = {what for observer in observers for what in observer.needs}
    return sorted({what for observer in observers for what in observer.withholds} - needed)


def job_of(course: Course, step: Step) -> dict[str, Any]:
    """What the kernel is told: how to observe and on which inputs."""
    observer = to_json(course.recorded[step.name].observer)
    return {"check": step.check, "observer": observer, "cases": _told(_cases(course, step), "then")}


def loading_job(course: Course, records: Records, step: Step) -> dict[str, Any] | None:
    """What the second kernel is told: the files of the first, and nothing else of it. None where nothing was saved."""
    record, packed = records[step], records[Step("public", step.cell, step.check)].get("packed")
    cases = _cases(course, step)
    shape = [record.get("traces"), record["files"]]
    if not isinstance(packed, str) or not all(isinstance(part, list) and len(part) == len(cases) for part in shape):
        return None
    saved = [k for k, trace in enumerate(record["traces"]) if isinstance(trace, dict) and not trace.get("problem")]
    observer = to_json(course.recorded[step.name].observer)
    told = _told([cases[k] for k in saved], "seed")
    return {"observer": observer, "cases": told, "packed": packed, "files": [record["files"][k] for k in saved]}


def _cases(course: Course, step: Step) -> list[dict[str, Any]]:
    return hidden(course, step.name).cases if step.what == "hidden" else course.recorded[step.name].data["cases"]


def _told(cases: list[dict[str, Any]], secret: str) -> list[dict[str, Any]]:
    """Who saves does not know the seed of what comes ``then``, and who loads not the ``seed`` of what was before."""
    return [{name: value for name, value in case.items() if name != secret} for case in cases]
