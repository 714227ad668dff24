"""A copy of the course with submissions, for tests that grade."""

import os
import shutil
import subprocess
import sys

import nbformat

from lecture_utils.environment import ROOT, tools
from lecture_utils.instructor.authoring import build
from lecture_utils.instructor.authoring.record import load_rubrics
from lecture_utils.instructor.reporting import demo

STUB = "# YOUR CODE HERE\nraise NotImplementedError()"


def copy_course(folder, *notebooks):
    """The course in ``folder``; with only those notebooks whose numbers are given, for example "00"."""
    ignore = shutil.ignore_patterns(
        ".git",
        ".venv",
        "*.egg-info",
        "submitted",
        "set_aside",
        "autograded",
        "feedback",
        "report",
        "gradebook.db*",
        "grading_secret",
        "tests",
    )
    shutil.copytree(ROOT, folder, ignore=ignore)
    for path in [p for part in ("source", "notebooks", "solutions") for p in (folder / part / "lecture12").iterdir()]:
        if notebooks and path.suffix in (".py", ".ipynb") and not path.name.startswith(notebooks):
            path.unlink()
    for rubric in (folder / "source" / "lecture12" / "rubrics").glob("nb*.py"):
        if notebooks and not rubric.stem.endswith(notebooks):
            rubric.unlink()
    # A fresh checkout has the sources as text only; nbgrader's own commands need them as notebooks.
    exercises = load_rubrics(build.SOURCE / "rubrics")
    for source in (folder / "source" / "lecture12").glob("*.py"):
        notebook = build.read_source(build.SOURCE / source.name, exercises)
        nbformat.write(notebook, source.with_suffix(".ipynb"))
    return folder


def run(course, *command, check=True, **environment):
    """A command of the course in its folder."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=course,
        capture_output=True,
        text=True,
        env={**tools(), **environment},
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def submit(course, student, answers=None, solve=True):
    """Hand in all notebooks of ``course``, solved, with ``answers`` {grade id: text} in the place of some."""
    folder = course / "submitted" / student / "lecture12"
    folder.mkdir(parents=True)
    for release in (course / "notebooks" / "lecture12").glob("*.ipynb"):
        notebook = nbformat.read(release, as_version=4)
        if solve:
            notebook = demo.solve(notebook, ROOT / "solutions" / "lecture12" / release.name)
        for cell in notebook.cells:
            cell.source = (answers or {}).get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
        nbformat.write(notebook, folder / release.name)
    return folder


def scores(course, db=None):
    """Points of each student, straight from the gradebook, and how many grades there are of each."""
    from nbgrader.api import Gradebook

    os.environ["PATH"] = tools()["PATH"]
    with Gradebook(db or f"sqlite:///{course}/gradebook.db") as gradebook:
        submissions = gradebook.assignment_submissions("lecture12")
        return {s.student.id: (s.score, sum(len(n.grades) for n in s.notebooks)) for s in submissions}
