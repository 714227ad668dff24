"""The instructor's way through, with plain nbgrader commands: release, autograde, feedback, export, formgrader."""

import csv
import json
import re
import shutil
import sys

import nbformat
import pytest
from browser import chromium, lab
from course import copy_course, run, submit
from nbgrader.validator import Validator
from playwright.sync_api import expect

from lecture_utils.environment import ROOT

BY_HAND = 4  # points that a person gives
HALF = {"momentum_step-answer": "def momentum_step(w, grad, delta, lr, alpha):\n    return w - lr * grad, delta"}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course with four submissions: all right, one exercise wrong, tampered with, and untouched."""
    course = copy_course(tmp_path_factory.mktemp("grading") / "course")
    run(course, "nbgrader", "generate_assignment", "lecture12", "--force", "--create")
    submit(course, "perfect")
    submit(course, "half", HALF)
    submit(course, "untouched", solve=False)
    path = submit(course, "tampered") / "04_momentum_nesterov.ipynb"
    notebook = nbformat.read(path, as_version=4)
    checks = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in notebook.cells}
    checks["momentum_step"].source = "pass  # an edited check cell"
    notebook.cells.remove(checks["nesterov_step"])  # a deleted check cell
    nbformat.write(notebook, path)
    return course


def points():
    return sum(
        e["points"] for e in json.loads((ROOT / "notebooks/lecture12/checks.json").read_text())["exercises"].values()
    )


def test_autograde_feedback_and_export_with_plain_commands(course):
    run(course, "nbgrader", "autograde", "lecture12")
    run(course, "nbgrader", "generate_feedback", "lecture12")
    run(course, "nbgrader", "export", "--to=grades.csv")
    with (course / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    # The edited and the deleted check cell are restored: the answers beside them count.
    assert scores == {"perfect": points(), "half": points() - 3, "tampered": points(), "untouched": 0}
    feedback = (course / "feedback" / "half" / "lecture12" / "04_momentum_nesterov.html").read_text(encoding="utf-8")
    top, _, below = feedback.partition('id="notebook"')
    (row,) = re.findall("<tr><td>.*?</tr>", top, re.DOTALL)  # what cost points, and nothing else
    assert "momentum_step" in row
    assert "0 of 3" in row
    assert "plain gradient descent" in row
    assert "Full points:" in top
    assert "<summary>Hint 1</summary>" in below  # the course's own text is not disarmed


def test_grade_is_a_wrapper_with_the_same_result(course):
    shutil.rmtree(course / "feedback", ignore_errors=True)
    run(course, "lecture_utils", "grade", "lecture12", "--student", "half", "--force")
    assert (course / "feedback" / "half" / "lecture12" / "00_start_here.html").exists()
    with (course / "grades.csv").open(newline="") as file:
        assert {r["student_id"]: float(r["score"]) for r in csv.DictReader(file)}["half"] == points() - 3


def test_grade_without_submissions_says_where_they_belong(course):
    done = run(course, "lecture_utils", "grade", "lecture13", check=False)
    assert done.returncode == 1
    assert "submitted/STUDENT/lecture13" in done.stderr


def test_validate_accepts_the_solution_and_names_what_is_missing(course):
    folder = course / "submitted" / "perfect" / "lecture12"
    for name in ("checks.json", "checks.npz"):
        shutil.copy(course / "notebooks" / "lecture12" / name, folder)
    assert Validator().validate(str(folder / "00_start_here.ipynb")) == {}
    found = Validator().validate(str(course / "notebooks" / "lecture12" / "00_start_here.ipynb"))
    assert "not written yet" in found["failed"][0]["raw_error"].lower()


def test_formgrader_shows_the_submissions_and_grades_one_by_its_button(course):
    with lab(sys.executable, course, "--instructor") as server, chromium(f"{server}/lab") as page:
        expect(page.locator(".lm-MenuBar-item", has_text="Nbgrader")).to_be_visible()
        page.goto(f"{server}/formgrader/manage_submissions/lecture12")
        row = page.locator("tr").filter(has_text="half")
        expect(row.locator(".score")).to_have_text(f"{points() - 3} / {points() + BY_HAND}")
        row.locator(".autograde a").click()
        expect(page.locator(".modal-dialog")).to_contain_text("Success", timeout=120_000)
        page.screenshot(path=str(course / "formgrader.png"))
