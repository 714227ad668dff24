"""A small course folder with submissions, for tests that grade."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from lecture_utils.environment import ROOT, tools
from lecture_utils.instructor.authoring import build
from lecture_utils.instructor.authoring.course import course_in
from lecture_utils.instructor.grading import batch

PACKAGE = ("lecture_utils", "pyproject.toml", "requirements.txt")


def copy_course(folder, *notebooks, package=False, sources=False):
    """The course in ``folder``; with only those notebooks whose numbers are given, for example "00".

    ``package``: with the commands, which work on the folder that they lie in. ``sources``: with the sources as notebooks,
    from which nbgrader's own commands make the gradebook; a fresh checkout has them as text only.
    """
    folder.mkdir(parents=True)
    for name in ("nbgrader_config.py", *(PACKAGE if package else ())):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for step in ("source", "notebooks", "solutions"):
        for path in sorted((ROOT / step / "lecture12").rglob("*")):
            if path.is_file() and _wanted(path, notebooks):
                copied = folder / path.relative_to(ROOT)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copied)
    for path in folder.glob("*/lecture12/checks.json") if notebooks else ():
        checks = json.loads(path.read_text(encoding="utf-8"))
        checks["exercises"] = {n: e for n, e in checks["exercises"].items() if e["notebook"].startswith(notebooks)}
        path.write_text(json.dumps(checks), encoding="utf-8")
    if sources:
        whole = course_in(str(ROOT))
        for source in (folder / "source" / "lecture12").glob("*.py"):
            nbformat.write(build.read_source(whole, whole.source / source.name), source.with_suffix(".ipynb"))
    return folder


def _wanted(path, notebooks):
    made = path.suffix == ".ipynb" and path.parts[-3] == "source"  # on demand
    if made or path.suffix not in (".py", ".ipynb", ".toml", ".json", ".npz"):
        return False
    number = path.stem.removeprefix("nb")[:2]
    return not notebooks or path.suffix not in (".py", ".ipynb") or number in notebooks


def run(course, *command, check=True, **environment):
    """A command of the course in its folder."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=course,
        capture_output=True,
        text=True,
        env={**tools(), "PYTHONPATH": "", **environment}
        if (course / PACKAGE[0]).exists()
        else {**tools(), **environment},
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def grade(course, db=None, **settings):
    """Grade the course from this process; the exit code that the command would have."""
    return batch.grade(course_in(str(course), db), **settings)


def submit(course, student, answers=None, solve=True, before=None, after=None, only=()):
    """Hand in the notebooks of ``course`` (``only`` those whose numbers are given), solved.

    ``answers`` {grade id: text} stand in the place of some solutions; ``before`` and ``after`` {grade id: [texts]} are
    own cells around one. Returns the folder.
    """
    folder = course / "submitted" / student / "lecture12"
    folder.mkdir(parents=True)
    for release in sorted((course / "notebooks" / "lecture12").glob("*.ipynb")):
        if only and release.name[:2] not in only:
            continue
        notebook = json.loads(release.read_text(encoding="utf-8"))
        if solve:
            _solve(notebook, ROOT / "solutions" / "lecture12" / release.name)
        notebook["cells"] = [new for cell in notebook["cells"] for new in _answered(cell, answers, before, after)]
        (folder / release.name).write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def _solve(notebook, solution):
    right = {cell["id"]: cell["source"] for cell in json.loads(solution.read_text(encoding="utf-8"))["cells"]}
    for cell in notebook["cells"]:
        cell["source"] = right.get(cell["id"], cell["source"])


def _answered(cell, answers, before, after):
    name = cell["metadata"].get("nbgrader", {}).get("grade_id")
    cell["source"] = (answers or {}).get(name, cell["source"])
    return [*own_cells((before or {}).get(name, [])), cell, *own_cells((after or {}).get(name, []))]


def own_cells(texts):
    """Cells that a student adds."""
    return [
        {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None} for text in texts
    ]


def scores(course, db=None):
    """Points of each student, straight from the gradebook, and how many grades there are of each."""
    with _gradebook(course, db) as gradebook:
        submissions = gradebook.assignment_submissions("lecture12")
        return {s.student.id: (s.score, sum(len(n.grades) for n in s.notebooks)) for s in submissions}


def points(course, db=None):
    """Points of each student in each exercise: {student: {grade id: points}}."""
    with _gradebook(course, db) as gradebook:
        submissions = gradebook.assignment_submissions("lecture12")
        return {s.student.id: {g.name: g.score for n in s.notebooks for g in n.grades} for s in submissions}


def _gradebook(course, db):
    os.environ["PATH"] = tools()["PATH"]  # a new gradebook is made by alembic, called by name
    return Gradebook(db or f"sqlite:///{Path(course).resolve()}/gradebook.db")
