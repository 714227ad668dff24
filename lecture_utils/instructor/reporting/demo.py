"""`demo`: a throw-away class, honest and hostile, graded before your eyes: the instructor's whole path in one command."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import tomllib
import webbrowser
from collections.abc import Callable
from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading import batch, sandbox
from lecture_utils.instructor.reporting.report import report

CELL_SECONDS = 10  # so that an endless loop costs little
HandIn = Callable[[Path], object]  # puts one student's work into a folder, or changes a file there
Class = dict[str, NotebookNode]  # the notebooks of one submission, by name
WRITTEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
MISTAKES, ATTACKS = WRITTEN["mistakes"], WRITTEN["attacks"]


def demo(
    directory: str | Path | None = None, browser: bool = True, only: tuple[str, ...] = ("*",), of: Course | None = None
) -> int:
    """Make a class in ``directory`` (a new temporary folder when left out), grade it, open its report.

    ``only`` are patterns of student ids, for a smaller class, ``of`` is another course than the one that is installed.
    The exit code of grading. Raises ``CourseError``.
    """
    folder = Path(directory).resolve() if directory else Path(tempfile.mkdtemp(prefix="class-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CourseError(f"{folder} is not an empty folder. Name one that is empty or not there yet.")
    start, course, of = time.monotonic(), Course(folder), of or Course()
    print(f"A throw-away class in {folder}", flush=True)
    for part in (of.source, of.notebooks, of.solutions):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(part, folder / part.relative_to(of.root), ignore=ignored)
    shutil.copy2(of.root / "nbgrader_config.py", folder)
    reason = sandbox.why_not()
    students = _class(Course(folder), hostile=not reason)  # its own: what is read from it need not travel to workers
    students = {name: hand_in for name, hand_in in students.items() if any(fnmatch(name, pattern) for pattern in only)}
    for name, hand_in in students.items():
        course.submitted(name).mkdir(parents=True)
        hand_in(course.submitted(name))
    print(f"{len(students)} submissions: {', '.join(students)}", flush=True)
    if reason:
        print(f"{reason} So no hostile students, and grading without it.")
    code = batch.grade(course, sandboxed=not reason, cell_seconds=CELL_SECONDS, feedback=batch.FEEDBACK)
    page = report(course)
    print(f"Made and graded in {time.monotonic() - start:.0f} s. The report: {page}")
    print(f"The formgrader: cd {folder} && {sys.executable} -m jupyterlab, menu Nbgrader")
    if browser:
        webbrowser.open(page.as_uri())
    return code


# --- the class ---------------------------------------------------------------------------------------------------


def _class(course: Course, hostile: bool) -> dict[str, HandIn]:
    """Every student, by id."""
    released = course.released
    solved = {name: solve(notebook, course.solutions / f"{name}.ipynb") for name, notebook in released.items()}
    students = {f"good-{k}": _writing(solved) for k in range(1, 4)}
    for k in range(1, 4):
        unwritten = dict(list(_answers(released).items())[k % 3 :: 3])
        students[f"average-{k}"] = _writing(_with(solved, _slips(released, k, 5) | unwritten))
    for k in range(1, 5):
        students[f"mistake-{k}"] = _writing(_with(solved, _slips(released, k, 2)))
    students |= {f"broken-{name}": _breaking(solved, how) for name, how in BREAKAGES.items()}
    first, notebook = next((a, {n: released[n]}) for n in released for a in _answers({n: released[n]}))
    students |= {
        f"hostile-{name}": _writing(_with(notebook, {first: code})) for name, code in ATTACKS.items() if hostile
    }
    return students


def solve(notebook: NotebookNode, solution: Path) -> NotebookNode:
    """The released notebook with the solution's text in every cell that a student may write in."""
    right = {c.id: c.source for c in nbformat.read(solution, as_version=4).cells} if solution.exists() else {}
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") or (cell.cell_type == "code" and not about.get("locked")):
            cell.source = right.get(cell.id, cell.source)
    return notebook


def _id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _answers(notebooks: Class) -> dict[str, str]:
    """The cells to be written in, by grade id, as they are given out."""
    return {
        _id(c): c.source for n in notebooks.values() for c in n.cells if c.metadata.get("nbgrader", {}).get("solution")
    }


def _slips(released: Class, k: int, every: int) -> dict[str, str]:
    """Wrong answers of student ``k``, to every second, third … exercise of the table."""
    answers, slips = _answers(released), {}
    for i, (name, bodies) in enumerate(MISTAKES.items()):
        if (i + k) % every == 0 and (stub := answers.get(f"{name}-answer")):
            signature = next(line for line in stub.splitlines() if line.startswith("def "))
            slips[f"{name}-answer"] = f"{signature}\n    {bodies[k // every % len(bodies)]}\n"
    return slips


def _with(notebooks: Class, answers: dict[str, str]) -> Class:
    notebooks = deepcopy(notebooks)
    for cell in (c for n in notebooks.values() for c in n.cells):
        cell.source = answers.get(_id(cell), cell.source)
    return notebooks


def _writing(notebooks: Class) -> HandIn:
    return lambda folder: [nbformat.write(n, folder / f"{name}.ipynb") for name, n in notebooks.items()]


# --- what happens to notebooks on their way ----------------------------------------------------------------------


def _breaking(solved: Class, how: HandIn) -> HandIn:
    """Right answers, but something happens to the notebook in the middle."""
    return lambda folder: (_writing(solved)(folder), how(sorted(folder.glob("*.ipynb"))[len(solved) // 2]))


def _cells(change: Callable[[list[dict]], list[dict]]) -> HandIn:
    def rewrite(path: Path) -> None:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(notebook | {"cells": change(notebook["cells"])}), encoding="utf-8")

    return rewrite


BREAKAGES: dict[str, HandIn] = {
    "duplicated": _cells(lambda cells: [c for c in cells for _ in range(2 if "nbgrader" in c["metadata"] else 1)]),
    "stripped": _cells(lambda cells: [c | {"metadata": {}} for c in cells]),
    "renamed": lambda path: path.rename(path.with_name(f"{path.stem} (1) final.ipynb")),
    "check-deleted": _cells(lambda cells: [c for c in cells if not c["metadata"].get("nbgrader", {}).get("grade")]),
    "damaged": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "missing": lambda path: path.unlink(),
    "encoding": lambda path: path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16")),
}
