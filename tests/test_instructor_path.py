"""The instructor's way through, with plain nbgrader commands: release, autograde, feedback, export, formgrader."""

import csv
import json
import shutil
import subprocess
import sys

import nbformat
import pytest
from browser import chromium, lab
from nbgrader.validator import Validator
from playwright.sync_api import expect

from lecture_utils.environment import ROOT, tools

STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
ANSWERS = {  # by notebook and grade id: what two students write
    "perfect": {},
    "half": {"momentum_step-answer": "def momentum_step(w, grad, delta, lr, alpha):\n    return w - lr * grad, delta"},
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course with three submissions: all right, one exercise wrong, and one that was tampered with."""
    copy = tmp_path_factory.mktemp("grading") / "course"
    ignore = shutil.ignore_patterns(".git", ".venv", "*.egg-info", "submitted", "gradebook.db*", "tests")
    shutil.copytree(ROOT, copy, ignore=ignore)
    nbgrader(copy, "generate_assignment", "lecture12", "--force", "--create")
    for student in ("perfect", "half", "tampered", "untouched"):
        submit(copy, student)
    return copy


def nbgrader(course, *arguments):
    run = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        capture_output=True,
        text=True,
        check=False,
        env=tools(),
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run


def solved_cells(stem):
    """The solution's text of each answer cell, by grade id."""
    solution = nbformat.read(ROOT / "solutions" / "lecture12" / f"{stem}.ipynb", as_version=4)
    graded = [c for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")]
    return {c.metadata.nbgrader.grade_id: c.source for c in graded}


def submit(course, student):
    folder = course / "submitted" / student / "lecture12"
    folder.mkdir(parents=True)
    for release in (course / "notebooks" / "lecture12").glob("*.ipynb"):
        notebook = nbformat.read(release, as_version=4)
        answers = {} if student == "untouched" else {**solved_cells(release.stem), **ANSWERS.get(student, {})}
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in answers:
                cell.source = answers[name]
            elif student == "tampered" and name == "momentum_step":
                cell.source = "pass  # an edited check cell"
        if student == "tampered":  # a deleted check cell
            notebook.cells = [
                c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "nesterov_step"
            ]
        nbformat.write(notebook, folder / release.name)


def points():
    return sum(
        e["points"] for e in json.loads((ROOT / "notebooks/lecture12/checks.json").read_text())["exercises"].values()
    )


def test_autograde_feedback_and_export_with_plain_commands(course):
    nbgrader(course, "autograde", "lecture12")
    nbgrader(course, "generate_feedback", "lecture12")
    nbgrader(course, "export", "--to=grades.csv")
    with (course / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    # The edited and the deleted check cell are restored: the answers beside them count.
    assert scores == {"perfect": points(), "half": points() - 3, "tampered": points(), "untouched": 0}
    feedback = (course / "feedback" / "half" / "lecture12" / "04_momentum_nesterov.html").read_text(encoding="utf-8")
    assert "plain gradient descent" in feedback


def test_grade_is_a_wrapper_with_the_same_result(course):
    shutil.rmtree(course / "feedback", ignore_errors=True)
    command = [sys.executable, "-m", "lecture_utils", "grade", "lecture12", "--student", "half", "--force"]
    run = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False, env=tools())
    assert run.returncode == 0, run.stderr[-3000:]
    assert (course / "feedback" / "half" / "lecture12" / "00_start_here.html").exists()
    with (course / "grades.csv").open(newline="") as file:
        assert {r["student_id"]: float(r["score"]) for r in csv.DictReader(file)}["half"] == points() - 3


def test_grade_without_submissions_says_where_they_belong(course):
    command = [sys.executable, "-m", "lecture_utils", "grade", "lecture13"]
    run = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False, env=tools())
    assert run.returncode == 1
    assert "submitted/STUDENT/lecture13" in run.stderr


def test_validate_accepts_the_solution_and_names_what_is_missing(course):
    folder = course / "submitted" / "perfect" / "lecture12"
    shutil.copy(course / "notebooks" / "lecture12" / "checks.json", folder)
    assert Validator().validate(str(folder / "00_start_here.ipynb")) == {}
    found = Validator().validate(str(course / "notebooks" / "lecture12" / "00_start_here.ipynb"))
    assert "not written yet" in found["failed"][0]["raw_error"].lower()


def test_formgrader_shows_the_submissions_and_grades_one_by_its_button(course):
    with lab(sys.executable, course, "--instructor") as server, chromium(f"{server}/lab") as page:
        expect(page.locator(".lm-MenuBar-item", has_text="Nbgrader")).to_be_visible()
        page.goto(f"{server}/formgrader/manage_submissions/lecture12")
        row = page.locator("tr").filter(has_text="half")
        expect(row.locator(".score")).to_have_text(f"{points() - 3} / {points()}")
        row.locator(".autograde a").click()
        expect(page.locator(".modal-dialog")).to_contain_text("Success", timeout=120_000)
        page.screenshot(path=str(course / "formgrader.png"))
