"""The instructor's whole path in one command: a class of every kind is made, graded and reported."""

import csv
from collections import defaultdict

import nbformat
import pytest
from course import copy_course

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading import sandbox
from lecture_utils.instructor.reporting.demo import ATTACKS, BREAKAGES, MISTAKES, demo
from lecture_utils.instructor.reporting.report import report

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason="there is no sandbox here")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """One class, of all breakages and attacks and a few others. Made once: this is the slow part."""
    folder = tmp_path_factory.mktemp("demo") / "class"
    small = Course(copy_course(tmp_path_factory.mktemp("of") / "course", "00", "02", "04", "05", "06"))
    assert (
        demo(folder, browser=False, of=small, only=("good-1", "average-1", "mistake-*", "broken-*", "hostile-*")) == 0
    )
    return folder


@pytest.fixture(scope="module")
def rows(course):
    with (course / "report" / "exercises.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def points(rows):
    """Each student's points in each notebook, without what is graded by hand."""
    found = defaultdict(lambda: defaultdict(float))
    for row in rows:
        if row["kind"] != "by_hand":
            found[row["student"]][row["notebook"]] += float(row["points"])
    return found


@pytest.fixture(scope="module")
def full(course):
    """What the checks of each notebook can give."""
    found = defaultdict(float)
    for exercise in Course(course).recorded.values():
        found[exercise.notebook] += exercise.points
    return dict(found)


def test_good_ones_get_all_that_checks_can_give(points, full):
    assert points["good-1"] == full
    for student in ("average-1", "mistake-3"):
        assert 0 < sum(points[student].values()) < sum(full.values())


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_happened_on_the_way_costs_only_what_is_gone(points, full, name):
    middle = sorted(full)[len(full) // 2]
    lost = {middle: 0.0} if name in ("damaged", "missing") else {}
    assert points[f"broken-{name}"] == {**full, **lost}


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_ones_gain_nothing(points, name):
    assert sum(points[f"hostile-{name}"].values()) == 0


def test_the_report_names_mistakes_and_what_was_mended(course, rows):
    page = (course / "report" / "index.html").read_text(encoding="utf-8")
    made = {row["misconception"] for row in rows if row["student"].startswith("mistake")} - {""}
    assert len(made) >= 8
    assert all(name.replace("_", " ") in page for name in made)
    for text in ("it is damaged", "was taken for", "ended the kernel"):
        assert text in page
    assert {row["kind"] for row in rows} >= {"passed", "misconception", "not_written", "missing", "damaged", "crashed"}


def test_everybody_gets_pages_that_tell_what_is_missing(course):
    for folder in (course / "submitted").iterdir():
        index = (course / "feedback" / folder.name / "lecture12" / "index.html").read_text(encoding="utf-8")
        assert ("was not handed in" in index.lower()) == (
            folder.name.startswith("hostile") or folder.name == "broken-missing"
        )
        assert not list((course / "feedback" / folder.name).rglob("checks.*"))


def test_tables_for_canvas_and_from_nbgrader_agree_with_the_report(course, points):
    with (course / "report" / "canvas.csv").open(newline="", encoding="utf-8") as file:
        canvas = {row["SIS Login ID"]: row for row in csv.DictReader(file)}
    with (course / "grades.csv").open(newline="", encoding="utf-8") as file:
        grades = {row["student_id"]: row for row in csv.DictReader(file)}
    assert canvas.pop("")["Student"].strip() == "Points Possible"
    assert canvas.keys() == grades.keys() == points.keys()
    for student, row in canvas.items():
        assert float(row["lecture12 total"]) == pytest.approx(float(grades[student]["score"]), abs=0.01)
        assert float(row["lecture12 total"]) == pytest.approx(
            sum(points[student].values()), abs=0.01
        )  # nothing by hand yet


def test_the_report_can_be_written_again(course):
    before = (course / "report" / "index.html").read_bytes()
    (course / "report" / "index.html").unlink()
    assert report(Course(course)).read_bytes() == before


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CourseError, match="is not an empty folder"):
        demo(tmp_path, browser=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_mistakes_are_made_in_exercises_of_the_course():
    assert set(MISTAKES) <= set(Course().recorded)


def test_every_solved_notebook_in_the_class_is_a_released_one(course):
    for path in (course / "notebooks" / "lecture12").glob("*.ipynb"):
        released, solved = (
            nbformat.read(p, as_version=4) for p in (path, course / "submitted" / "good-1" / "lecture12" / path.name)
        )
        assert [c.id for c in released.cells] == [c.id for c in solved.cells]
        assert [c.metadata for c in released.cells] == [c.metadata for c in solved.cells]
