"""The instructor's way through, with the commands that a person types: release, autograde, feedback, export, formgrader."""

import csv
import json
import shutil
import sys

import pytest
from browser import chromium, lab
from conftest import EXERCISES, needs
from course import copy_course, run, submit
from nbgrader.validator import Validator
from playwright.sync_api import expect

NOTEBOOKS = ("00", "04")
POINTS = sum(e.points for e in EXERCISES.values() if e.notebook.startswith(NOTEBOOKS))
HALF = {"momentum_step-answer": "def momentum_step(w, grad, delta, lr, alpha):\n    return w - lr * grad, delta"}
EXPECTED = {"perfect": POINTS, "half": POINTS - 3, "tampered": POINTS}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of two notebooks with three submissions: all right, one exercise wrong, and tampered with."""
    needs("libseccomp", "sandbox")
    course = copy_course(tmp_path_factory.mktemp("grading") / "course", *NOTEBOOKS, package=True, sources=True)
    run(course, "nbgrader", "generate_assignment", "lecture12", "--force", "--create")
    submit(course, "perfect")
    submit(course, "half", HALF)
    path = submit(course, "tampered") / "04_momentum_nesterov.ipynb"
    notebook = json.loads(path.read_text())
    checks = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in notebook["cells"]}
    checks["momentum_step"]["source"] = "pass  # an edited check cell"
    notebook["cells"].remove(checks["nesterov_step"])  # a deleted one
    path.write_text(json.dumps(notebook))
    run(course, "nbgrader", "autograde", "lecture12")
    return course


def exported(course):
    with (course / "grades.csv").open(newline="") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_autograde_feedback_and_export_with_plain_commands(course):
    run(course, "nbgrader", "generate_feedback", "lecture12", "--student=half")
    run(course, "nbgrader", "export", "--to=grades.csv")
    assert exported(course) == EXPECTED
    feedback = (course / "feedback" / "half" / "lecture12" / "04_momentum_nesterov.html").read_text(encoding="utf-8")
    assert "plain gradient descent" in feedback


def test_grade_is_a_wrapper_with_the_same_result(course):
    shutil.rmtree(course / "feedback", ignore_errors=True)
    (course / "grades.csv").unlink(missing_ok=True)
    run(course, "lecture_utils", "grade", "lecture12", "--student", "half", "--force")
    assert (course / "feedback" / "half" / "lecture12" / "00_start_here.html").exists()
    assert exported(course) == EXPECTED


def test_validate_accepts_the_solution_and_names_what_is_missing(course):
    folder = course / "submitted" / "perfect" / "lecture12"
    for name in ("checks.json", "checks.npz"):
        shutil.copy(course / "notebooks" / "lecture12" / name, folder)
    assert Validator().validate(str(folder / "00_start_here.ipynb")) == {}
    found = Validator().validate(str(course / "notebooks" / "lecture12" / "00_start_here.ipynb"))
    assert "not written yet" in found["failed"][0]["raw_error"].lower()


def test_formgrader_shows_the_submissions_and_grades_one_by_its_button(course):
    needs("browser")
    with lab(sys.executable, course, "--instructor") as server, chromium(f"{server}/lab") as page:
        expect(page.locator(".lm-MenuBar-item", has_text="Nbgrader")).to_be_visible()
        page.goto(f"{server}/formgrader/manage_submissions/lecture12")
        row = page.locator("tr").filter(has_text="half")
        expect(row.locator(".score")).to_have_text(f"{POINTS - 3} / {POINTS}")
        row.locator(".autograde a").click()
        expect(page.locator(".modal-dialog")).to_contain_text("Success", timeout=120_000)
