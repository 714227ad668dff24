"""`grade`: nbgrader's own autograde, feedback and export, one after the other."""

from __future__ import annotations

import subprocess
import sys

from lecture_utils.environment import ROOT, CourseError, tools


def grade(assignment: str = "lecture12", student: str = "*", force: bool = False) -> int:
    """Grade the submissions in submitted/ID/assignment/; 0 when all went well, else nbgrader's exit code."""
    if not list((ROOT / "submitted").glob(f"{student}/{assignment}/*.ipynb")):
        raise CourseError(
            f"No notebook matches submitted/{student}/{assignment}/*.ipynb in {ROOT}. "
            f"Put each student's notebooks into submitted/STUDENT/{assignment}/."
        )
    which = [assignment, f"--student={student}"] + (["--force"] if force else [])
    codes = [
        _nbgrader("autograde", *which),
        _nbgrader("generate_feedback", *which),
        _nbgrader("export", "--to=grades.csv"),
    ]
    print(f"Grades: {ROOT / 'grades.csv'}   Feedback: {ROOT / 'feedback'}")
    return max(codes)


def _nbgrader(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "nbgrader", *arguments], cwd=ROOT, env=tools(), check=False).returncode
