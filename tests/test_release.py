"""What students get: nothing that it should not hold, and notebooks that run to their end unsolved."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from lecture_utils.environment import ROOT, CourseError
from lecture_utils.instructor.authoring import bundle, practice
from lecture_utils.instructor.authoring.course import Course

COURSE = Course()
RELEASE, SOURCES = COURSE.notebooks, COURSE.sources
NOTEBOOKS = sorted(RELEASE.glob("*.ipynb"))
FORBIDDEN = re.compile(
    r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)|START DELETE|/home/|/root/|/Users/|[A-Z]:\\\\Users"
)


def expanded(source):
    """The notebook of a source, with the cells that `build` makes from questions.toml."""
    notebook = jupytext.read(source, fmt="py:percent")
    practice.expand(COURSE, notebook)
    return notebook


def text_of(source):
    return "\n".join(c.source + "\n" for c in expanded(source).cells)


def solution_lines(source):
    """The lines between the solution markers of a source: the very text that must not travel.

    What is tried without points may be used again further down.
    """
    cells = [
        c.source
        for c in expanded(source).cells
        if not c.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-own")
    ]
    blocks = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", "\n".join(cells), re.DOTALL)
    return {line.strip() for block in blocks for line in block.splitlines() if len(line.strip()) > 24}


def test_there_is_one_notebook_per_source():
    assert [n.stem for n in NOTEBOOKS] == [s.stem for s in SOURCES]
    assert sorted(p.name for p in RELEASE.iterdir() if p.suffix != ".ipynb" and not p.name.startswith(".")) == [
        "checks.json",
        "checks.npz",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_release_holds_no_solution_output_or_path(path):
    notebook = nbformat.read(path, as_version=4)
    text = path.read_text(encoding="utf-8")
    assert not FORBIDDEN.search(text)
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    for line in solution_lines(path_of_source(path)):
        assert line not in code, line
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert "widgets" not in notebook.metadata


def path_of_source(path):
    return COURSE.source / f"{path.stem}.py"


def test_leak_test_can_fail():
    """The solution lines that are searched for exist, and the markers do stand in the sources."""
    assert all(FORBIDDEN.search(text_of(s)) for s in SOURCES)
    assert any(solution_lines(s) for s in SOURCES)


def test_model_answers_and_marking_schemes_stay_with_the_instructor():
    kept = 0
    for source in SOURCES:
        release = (RELEASE / f"{source.stem}.ipynb").read_text(encoding="utf-8")
        cells = [c for c in expanded(source).cells if c.cell_type == "markdown" and "BEGIN SOLUTION" in c.source]
        for line in (line for c in cells for line in c.source.partition("BEGIN SOLUTION")[2].splitlines()):
            if len(line) > 24:
                kept += 1
                assert line[:60] not in release, line
        assert not cells or "YOUR ANSWER HERE" in release
    assert kept > 4


def test_package_holds_no_rubric_bytecode_or_path():
    for file in (ROOT / "lecture_utils").rglob("*"):
        if file.is_dir() or "__pycache__" in file.parts:
            continue
        assert file.suffix in {".py", ".js", ".css", ".json", ".j2", ".toml"}, file
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"/home/|/root/|/Users/", text), file
        assert '.slip("' not in text or file.name == "exercise.py", file


@pytest.mark.parametrize("name", ["checks.json", "checks.npz"])
def test_checks_are_the_same_in_source_and_release(name):
    assert (RELEASE / name).read_bytes() == (COURSE.source / name).read_bytes()


def test_what_travels_for_the_checks_is_small():
    assert sum((RELEASE / name).stat().st_size for name in ("checks.json", "checks.npz")) <= 4e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_unsolved_notebook_runs_to_its_end(path, tmp_path):
    """Run All on a fresh notebook: no cell fails, and each check says 'not written yet'.

    Demonstrations take most of the time; nbval runs them with the solutions. Left out here are those that use nothing of a
    student's; the others wait for a green check.
    """
    notebook = nbformat.read(path, as_version=4)
    answers = "\n".join(c.source for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution"))
    to_be_written = set(re.findall(r"^(?:def|class) (\w+)", answers, re.MULTILINE))
    for cell in notebook.cells:
        if "demo" in cell.metadata.get("tags", []):
            names = {n.id for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name)}
            cell.metadata.tags = [] if names & {"passed", *to_be_written} else ["demo"]
    for name in ("checks.json", "checks.npz"):
        (tmp_path / name).write_bytes((RELEASE / name).read_bytes())
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, resources=place, skip_cells_with_tag="demo").execute()
    graded = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        errors = [o.ename for o in cell.outputs if o.output_type == "error"]
        text = "".join(str(o.get("text", "")) + str(o.get("data", "")) for o in cell.outputs)
        if cell.metadata.get("nbgrader", {}).get("grade") and not cell.metadata.nbgrader.solution:
            graded += 1
            assert "not written yet" in text.lower(), cell.source
        assert not errors, cell.source
        assert not [o for o in cell.outputs if o.get("name") == "stderr"], cell.source
    assert graded >= 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_answer_stops_run_all(path):
    """A syntax error in an answer is shown, and the next cell runs."""
    for cell in nbformat.read(path, as_version=4).cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and (about.get("solution") or about.get("grade") or "= None" in cell.source):
            assert "raises-exception" in cell.metadata.get("tags", []), cell.source


@pytest.fixture(scope="module")
def unzipped(tmp_path_factory):
    """What students get, in a folder of its own."""
    where = tmp_path_factory.mktemp("bundle")
    bundle.write(COURSE, where / "course.zip")
    zipfile.ZipFile(where / "course.zip").extractall(where)
    return where / "improving_optimization"


def test_bundle_holds_what_students_need_and_nothing_else(unzipped):
    names = {file.relative_to(unzipped).as_posix() for file in unzipped.rglob("*") if file.is_file()}
    assert {"README.md", "requirements.txt", "pyproject.toml", "lecture_utils/__main__.py"} <= names
    assert {f"notebooks/lecture12/{n.name}" for n in NOTEBOOKS} <= names
    package = {f.relative_to(ROOT).as_posix() for f in (ROOT / "lecture_utils").rglob("*") if f.is_file()}
    theirs = {n for n in package if not re.search(r"lecture_utils/instructor/|__pycache__|\.ipynb_checkpoints", n)}
    assert {n for n in names if n.startswith("lecture_utils/")} == theirs
    for name in names:
        assert name.split("/")[0] in {"README.md", "requirements.txt", "pyproject.toml", "lecture_utils", "notebooks"}
        assert not re.search(r"instructor|rubric|solution|\.pyc|hidden", name), name


def test_the_same_course_makes_the_same_bundle(tmp_path):
    for name in ("one.zip", "other.zip"):
        bundle.write(COURSE, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_nothing_in_the_bundle_imports_what_stays_behind(unzipped):
    """But for the one line of __main__.py that looks first whether it is there."""
    found = [
        (file.name, name)
        for file in unzipped.rglob("*.py")
        for name in imported_modules(ast.parse(file.read_text(encoding="utf-8")))
        if name.startswith("lecture_utils.instructor")
    ]
    assert found == [("__main__.py", "lecture_utils.instructor")]


def imported_modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def in_the_bundle(unzipped, *command, folder="."):
    """Run Python where only the bundle's own package can be found."""
    environment = {**os.environ, "PYTHONPATH": str(unzipped), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "ignore", *command]
    return subprocess.run(command, cwd=unzipped / folder, env=environment, capture_output=True, text=True, check=False)


def test_a_check_works_from_the_bundle(unzipped):
    code = """
import sys
sys.modules["lecture_utils.instructor"] = None  # the course that is installed here must not help
import lecture_utils.checks, lecture_utils.explorer, lecture_utils.lab, lecture_utils.stacked
print(lecture_utils.checks.__file__)
def gradient_step(w, grad, lr):
    return w + lr * grad
lecture_utils.checks.check(gradient_step)
lecture_utils.checks.check_answer("single_example", None, "anna")
lecture_utils.checks.scoreboard("00")
"""
    done = in_the_bundle(unzipped, "-c", code, folder="notebooks/lecture12")
    assert done.returncode == 0, done.stderr
    assert str(unzipped / "lecture_utils") in done.stdout
    assert "a step up the hill" in done.stdout
    assert "not written yet" in done.stdout
    assert "0 of 1 points" in done.stdout


@pytest.mark.parametrize("verb", ["test", "build", "paper", "bundle", "grade", "report", "demo"])
def test_a_student_who_asks_for_a_command_of_the_instructors_is_told_in_a_sentence(unzipped, verb):
    done = in_the_bundle(unzipped, "-m", "lecture_utils", verb)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"`{verb}` is for those who run the course: this copy of it, a student's, does not have it."
    ]
    assert verb not in in_the_bundle(unzipped, "-m", "lecture_utils", "--help").stdout.replace("help", "")


@pytest.mark.parametrize("whole", [True, False], ids=["the course", "the bundle"])
def test_packages_of_setuptools_are_those_that_are_there(unzipped, whole):
    """pyproject.toml is the same in both, and names no package that one of them lacks."""
    root = ROOT if whole else unzipped
    code = "import setuptools, sys; print(*setuptools.find_packages(sys.argv[1], include=['lecture_utils*']))"
    found = in_the_bundle(unzipped, "-c", code, str(root)).stdout.split()
    assert set(found) == {
        ".".join(f.parent.relative_to(root).parts) for f in (root / "lecture_utils").rglob("__init__.py")
    }
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert settings["packages"] == {"find": {"include": ["lecture_utils*"], "namespaces": False}}


def test_bundle_takes_what_has_a_source_and_no_outputs(tmp_path):
    shutil.copytree(COURSE.source, tmp_path / "source" / "lecture12", ignore=shutil.ignore_patterns("rubrics"))
    copy = tmp_path / "notebooks" / "lecture12"
    shutil.copytree(RELEASE, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    first = copy / NOTEBOOKS[0].name
    first.write_text(first.read_text(encoding="utf-8").replace('"outputs": []', '"outputs": [1]', 1), encoding="utf-8")
    with pytest.raises(CourseError, match="has outputs"):
        bundle.write(Course(tmp_path), tmp_path / "course.zip")
    first.unlink()
    with pytest.raises(CourseError, match="is not there"):
        bundle.write(Course(tmp_path), tmp_path / "course.zip")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_between_notebooks_lead_somewhere(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#]+\.ipynb)", text):
        assert (RELEASE / link).exists(), link


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_notebooks_keep_to_the_house_style(source):
    """Short cells, short texts, promise and points in the first cell, a scoreboard at the end."""
    notebook = expanded(source)
    for cell in notebook.cells:
        lines = cell.source.count("\n") + 1
        assert cell.cell_type != "code" or lines <= 25, f"{lines} lines: {cell.source[:60]}"
        seen = re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", " ", cell.source, flags=re.DOTALL)  # by students
        words = len(re.sub(r"\$[^$]*\$|\|.*\|", " ", seen).split())
        assert cell.cell_type != "markdown" or words <= 130, f"{words} words: {cell.source[:60]}"
    title = notebook.cells[0].source
    points = sum(c.metadata.nbgrader.points for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade"))
    assert re.search(rf"\*\*\d+ minutes · {points} points?\.\*\*", title), title
    text = "\n".join(c.source for c in notebook.cells)
    assert "scoreboard(" in text.partition("## What to remember")[2]
