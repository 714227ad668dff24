"""`build`: products are current, rebuilds are byte-identical, and edits by hand are found or taken over."""

import os
import shutil

import jupytext
import nbformat
import pytest

from lecture_utils.environment import ROOT, CourseError
from lecture_utils.instructor.authoring import build
from lecture_utils.instructor.authoring.course import Course

COURSE = Course()
SOURCES = COURSE.sources


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course in which a build may write."""
    copy = tmp_path_factory.mktemp("course") / "course"
    ignore = shutil.ignore_patterns(".git", ".venv", "*.egg-info", "submitted", "gradebook.db*")
    shutil.copytree(ROOT, copy, ignore=ignore)
    return copy


@pytest.fixture
def told(capsys):
    """``told(build.build, course, …)``: what it prints, or gives back."""
    return lambda function, *arguments: (function(*arguments) or "") + capsys.readouterr().out


def test_everything_generated_is_current():
    assert build.check(COURSE) == ""


def test_rebuild_is_byte_identical(course, told):
    products = [course / folder / "lecture12" / f"{SOURCES[0].stem}.ipynb" for folder in ("notebooks", "solutions")]
    before = [p.read_bytes() for p in products]
    products[0].unlink()
    products[1].write_bytes(before[1].replace(b"w = -1.200", b"w = -1.234"))  # an output that no run gives
    assert told(build.build, Course(course), ["00"]).count("wrote") >= 2
    assert [p.read_bytes() for p in products] == before


def test_an_edit_of_a_product_is_found_with_a_readable_diff(course, told):
    product = course / "notebooks" / "lecture12" / f"{SOURCES[0].stem}.ipynb"
    text = product.read_text(encoding="utf-8")
    product.write_text(text.replace("Start here", "Begin here", 1), encoding="utf-8")
    difference = told(build.check, Course(course))
    product.write_text(text, encoding="utf-8")
    assert "Begin here" in difference
    assert "+" in difference
    assert "Start here" in difference


def test_an_edit_of_the_paired_notebook_is_taken_over_into_the_source(course, told):
    source = course / "source" / "lecture12" / SOURCES[0].name
    original = source.read_text(encoding="utf-8")
    pair = source.with_suffix(".ipynb")
    notebook = build.read_source(COURSE, source)
    notebook.cells[0].source += "\n\nOne more sentence."
    nbformat.write(notebook, pair)
    later = source.stat().st_mtime + 10
    os.utime(pair, (later, later))
    assert "edited since the last build" in told(build.check, Course(course))
    assert source.read_text(encoding="utf-8") == original
    build.build(Course(course), ["00"])
    assert source.read_text(encoding="utf-8") == original.replace(
        notebook.cells[0].source.splitlines()[-3],
        notebook.cells[0].source.splitlines()[-3] + "\n#\n# One more sentence.",
    )


def test_building_one_notebook_tells_which_others_it_leaves_behind(course, told):
    source = course / "source" / "lecture12" / SOURCES[2].name
    original = source.read_text(encoding="utf-8")
    source.write_text(original.replace("# ## 2.3  ", "# ## 2.3  Really: ", 1), encoding="utf-8")
    assert source.read_text(encoding="utf-8") != original
    try:
        printed = told(build.build, Course(course), ["02"])
    finally:
        source.write_text(original, encoding="utf-8")
    assert f"stale    {SOURCES[8].stem}: build it, too" in printed


def test_a_solution_that_fails_its_check_is_not_written():
    notebook = build.read_source(COURSE, SOURCES[0])
    check = next(k for k, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("points"))
    answer = next(c for c in notebook.cells[check::-1] if c.metadata.get("nbgrader", {}).get("solution"))
    answer.source += "\ngradient_step = lambda *_: None"
    with pytest.raises(CourseError, match="does not pass the check of"):
        build.solution(COURSE, notebook, SOURCES[0].stem)


def test_both_edited_is_an_error_and_loses_nothing(tmp_path):
    source = tmp_path / SOURCES[0].name
    shutil.copy(SOURCES[0], source)
    pair = source.with_suffix(".ipynb")
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.cells[0].source += "\n\nFrom JupyterLab."
    jupytext.write(notebook, pair)
    source.write_text(source.read_text(encoding="utf-8") + "\n# %% [markdown]\n# From an editor.\n", encoding="utf-8")
    earlier = source.stat().st_mtime - 10
    os.utime(pair, (earlier, earlier))
    with pytest.raises(CourseError, match="Keep one"):
        build.edits(source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_sources_are_in_the_form_that_jupytext_writes(source):
    text = source.read_text(encoding="utf-8")
    assert build.as_source(jupytext.reads(text, fmt="py:percent")) == text


def test_points_that_differ_from_the_rubric_are_refused(tmp_path):
    source = tmp_path / SOURCES[0].name
    source.write_text(SOURCES[0].read_text(encoding="utf-8").replace('"points": 1', '"points": 2', 1), encoding="utf-8")
    with pytest.raises(CourseError, match="graded cells"):
        build.read_source(COURSE, source)
