"""The instructor's `build`: one text source in, student notebooks, executed solutions and checks.json out."""

from __future__ import annotations

import difflib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from traitlets.config import Config

from lecture_utils.environment import CourseError, tools
from lecture_utils.instructor.authoring import practice, questions
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.files import Files, exam_text, files, stale

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
# The filter keeps jupytext's own version number, which changes on every machine, out of the diffs.
PAIRED = {"formats": "ipynb,py:percent", "notebook_metadata_filter": "-jupytext.text_representation"}
CELL_TIME_LIMIT = 120  # seconds


def build(course: Course, only: Sequence[str] = ()) -> None:
    """Build the notebooks whose names start with one of ``only``, or all. Raises ``CourseError`` with what to mend."""
    chosen = _chosen(course, only)
    for source in chosen:
        if edited := edits(source):
            _write(course, source, edited)
    questions.validate(questions.asked_in(course.exercises))
    checks = files(course)
    _write_checks(course, course.source, checks)
    notebooks = {source.stem: read_source(course, source) for source in course.sources}
    names = [source.stem for source in chosen]
    for name in names:
        _write(course, course.source / f"{name}.ipynb", _text(notebooks[name]))
    for name, text in _release(course, notebooks, database=True).items():
        if name in names or not (course.notebooks / f"{name}.ipynb").exists():
            _write(course, course.notebooks / f"{name}.ipynb", text)
    _write_checks(course, course.notebooks, checks)
    # Two at a time: notebooks are single-threaded, and most laptops have two cores to spare.
    with ThreadPoolExecutor(2) as pool:
        texts = pool.map(lambda name: solution(course, notebooks[name], name), names)
        for name, text in zip(names, texts, strict=True):
            _write(course, course.solutions / f"{name}.ipynb", text)
    for product in [] if only else _without_source(course):
        product.unlink()
        print(f"removed  {product.relative_to(course.root)}: it has no source")
    # Notebook 8 links to headings and repeats corrections of the others.
    for name, notebook in notebooks.items():
        now = _without_outputs(_solution_cells(course, notebook))
        if name not in names and _diff(course, course.solutions / f"{name}.ipynb", now):
            print(f"stale    {name}: build it, too")


def check(course: Course, only: Sequence[str] = ()) -> str:
    """A readable diff between what ``build`` would write and what is there; empty when all is current.

    Outputs of solutions are not looked at here: nbval runs and compares them.
    """
    questions.validate(questions.asked_in(course.exercises))
    if names := stale(course):
        return f"checks.json: {', '.join(names)}: changed since the last build.\n"
    chosen = _chosen(course, only)
    if edited := [s.with_suffix(".ipynb").name for s in chosen if edits(s)]:
        return f"{', '.join(edited)}: edited since the last build. `build` takes it over.\n"
    wanted = dict.fromkeys((course.source / "checks.json", course.notebooks / "checks.json"), files(course).text)
    notebooks = {source.stem: read_source(course, source) for source in chosen}
    for name, notebook in notebooks.items():
        wanted[course.solutions / f"{name}.ipynb"] = _without_outputs(_solution_cells(course, notebook))
    for name, text in _release(course, notebooks, database=False).items():
        wanted[course.notebooks / f"{name}.ipynb"] = text
    tables = [folder / "checks.npz" for folder in (course.source, course.notebooks)]
    alike = all(t.is_file() for t in tables) and tables[0].read_bytes() == tables[1].read_bytes()
    differ = "" if alike else "checks.npz is missing, or not the same in both folders\n"
    differ += "".join(_diff(course, path, text) for path, text in wanted.items())
    return differ + "".join(f"{p.relative_to(course.root)} has no source\n" for p in _without_source(course))


def exam(course: Course, folder: Path) -> None:
    """Write the graded version of the questions to ``folder``: a notebook and a checks.json that hold no answer.

    The study guide and the corrections stay out, too. Grading compares with the rubrics, which stay here.
    """
    questions.validate(questions.asked_in(course.exercises))
    (name,) = {course.exercises[q.id].notebook for q in questions.asked_in(course.exercises)}
    made = _release(course, {name: read_source(course, course.source / f"{name}.py")}, database=False)
    notebook = nbformat.reads(made[name], as_version=4)
    practice.leave_out_notes(notebook)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in ((f"{name}.ipynb", _text(notebook)), ("checks.json", exam_text(course))):
        (folder / file).write_text(text, encoding="utf-8")
        print(f"wrote    {folder / file}")


# --- source ------------------------------------------------------------------------------------------------------


def edits(source: Path) -> str | None:
    """The script that a paired .ipynb asks for, when it was edited since the last build and is the newer of the two."""
    pair = source.with_suffix(".ipynb")
    if not pair.exists():
        return None
    paired = nbformat.read(pair, as_version=4)
    ids = _ids(paired, source.stem)
    if [c.get("id") for c in paired.cells] == ids:
        return None  # as build wrote it
    if any(c.metadata.get("generated") and c.get("id") != i for c, i in zip(paired.cells, ids, strict=True)):
        raise CourseError(
            f"{pair.name}: a generated cell was edited. Questions live in rubrics/questions.toml, corrections in their "
            f"notebooks: edit them there, and delete {pair}."
        )
    practice.collapse(paired)
    theirs = as_source(paired)
    if theirs == as_source(jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")):
        return None
    if pair.stat().st_mtime < source.stat().st_mtime:
        raise CourseError(
            f"{source.name} and {pair.name} were both edited since the last build, the .py last. "
            f"Keep one: delete {pair} to build from the .py, or save the .ipynb again to take it."
        )
    return theirs


def read_source(course: Course, source: Path) -> NotebookNode:
    """The notebook of a percent script, with stable cell ids, its graded cells compared with the rubrics."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    practice.expand(course, notebook)
    for cell, name in zip(notebook.cells, _ids(notebook, source.stem), strict=True):
        cell.id = name
    _compare_with_rubrics(course, notebook, source)
    return notebook


def as_source(notebook: NotebookNode) -> str:
    """A notebook as the percent script that goes into version control."""
    metadata = nbformat.from_dict({"jupytext": PAIRED, "kernelspec": KERNEL})
    return jupytext.writes(nbformat.from_dict(notebook | {"metadata": metadata}), fmt="py:percent")


def _ids(notebook: NotebookNode, name: str) -> list[str]:
    """Cell ids made from the cells' text: they stay when another cell is added or removed."""
    ids: list[str] = []
    for cell in notebook.cells:
        digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        again = sum(i.startswith(f"{name[:2]}-{digest}") for i in ids)
        ids.append(f"{name[:2]}-{digest}" + (f"-{again}" if again else ""))
    return ids


def _compare_with_rubrics(course: Course, notebook: NotebookNode, source: Path) -> None:
    graded = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")}
    wanted = {e.name: e.points for e in course.exercises.values() if e.notebook == source.stem}
    automatic = {n: c.metadata.nbgrader.points for n, c in graded.items() if not c.metadata.nbgrader.solution}
    if automatic != wanted:
        raise CourseError(
            f"{source.name}: its graded cells {automatic} and the rubrics {wanted} differ. "
            "grade_id and points must be an exercise's name and points."
        )
    for name in automatic:
        if "raises-exception" not in graded[name].metadata.get("tags", []):
            raise CourseError(
                f"{source.name}: the check of {name} needs the tag raises-exception, or Run All stops there."
            )


# --- products ----------------------------------------------------------------------------------------------------


def register(course: Course, api: Any) -> None:
    """Tell the gradebook of nbgrader's ``api`` which cells the assignment has; writes nothing into the course."""
    from nbgrader.utils import temp_attrs  # half a second that only grading needs

    notebooks = {source.stem: read_source(course, source) for source in course.sources}
    # In this process: the address may hold a password, which a command line would show to all who use the machine.
    with _aside(course, notebooks) as folders, temp_attrs(api.coursedir, **folders):
        told = api.generate_assignment(course.assignment)
    if not told["success"]:
        raise CourseError(_errors(told["log"]))


def _release(course: Course, notebooks: dict[str, NotebookNode], database: bool) -> dict[str, str]:
    """Let nbgrader make the student notebooks; their texts, by name."""
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", course.assignment, "--force", "--create"]
    with _aside(course, notebooks) as folders:
        command += [f"--CourseDirectory.{name}={folder}" for name, folder in folders.items()]
        command += [] if database else ["--no-db"]
        run = subprocess.run(command, cwd=course.root, capture_output=True, text=True, env=tools())
        if run.returncode:
            raise CourseError(_errors(run.stderr))
        made = sorted(Path(folders["release_directory"], course.assignment).glob("*.ipynb"))
        return {file.stem: _text(nbformat.read(file, as_version=4)) for file in made}


@contextmanager
def _aside(course: Course, notebooks: dict[str, NotebookNode]) -> Iterator[dict[str, str]]:
    """Folders for nbgrader, as it calls them, with these sources: a paired notebook that is being edited stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source", course.assignment)
        source.mkdir(parents=True)
        for name, notebook in notebooks.items():
            (source / f"{name}.ipynb").write_text(_text(notebook), encoding="utf-8")
        yield {"source_directory": str(source.parent), "release_directory": str(Path(folder, "release"))}


def _errors(log: str) -> str:
    lines = [line for line in log.splitlines() if "ERROR" in line or "Error" in line]
    return "nbgrader generate_assignment failed:\n" + ("\n".join(lines) or log)


def solution(course: Course, notebook: NotebookNode, name: str) -> str:
    """The executed notebook as text. Raises ``CourseError`` when a cell fails that is not meant to."""
    notebook = _solution_cells(course, notebook)
    course.solutions.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIME_LIMIT,
        kernel_name=KERNEL["name"],
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,  # how printed lines arrive in pieces differs from run to run
        resources={"metadata": {"path": str(course.solutions)}},
        config=Config(KernelManager={"transport_encryption": "auto"}),  # else each kernel warns that others may listen
    )
    try:
        client.execute(env={**os.environ, "NBGRADER_EXECUTION": "build"})  # so that a check that fails is an error
    except CellExecutionError as error:
        raise CourseError(f"{name}: a cell of the solution fails.\n{error}") from None
    for cell in notebook.cells:  # in a student's notebook a failing check stops nothing
        about = cell.metadata.get("nbgrader", {})
        if about.get("points") and any(o.output_type == "error" for o in cell.get("outputs", [])):
            raise CourseError(
                f"{name}: the solution does not pass the check of {about.grade_id}. "
                "(On a very busy machine a check may run out of time: then build again.)"
            )
    notebook.metadata = nbformat.from_dict(METADATA)
    for output in (o for c in notebook.cells for o in c.get("outputs", [])):
        # A widget needs its kernel: without one only its picture can be shown, and its random id would be new each time.
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    _keep_what_differs_between_machines(notebook, course.solutions / f"{name}.ipynb")
    return _text(notebook)


def _solution_cells(course: Course, notebook: NotebookNode) -> NotebookNode:
    """The source with nbgrader's solution markers taken out, and with the right answers to questions."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        lines = cell.source.splitlines()
        cell.source = "\n".join(x for x in lines if x.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION"))
    practice.fill_in(course, notebook)
    return notebook


def _keep_what_differs_between_machines(notebook: NotebookNode, old: Path) -> None:
    """Cells tagged nbval-ignore-output (timings, the device) keep their old output while their source is the same."""
    if not old.exists():
        return
    before = {c.id: c for c in nbformat.read(old, as_version=4).cells if c.cell_type == "code"}
    for cell in notebook.cells:
        same = before.get(cell.id)
        if same and same.source == cell.source and "nbval-ignore-output" in cell.metadata.get("tags", []):
            cell.outputs = same.outputs


def _without_outputs(notebook: NotebookNode) -> str:
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return _text(notebook)


def _text(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4) + "\n"


# --- files -------------------------------------------------------------------------------------------------------


def _chosen(course: Course, only: Sequence[str]) -> list[Path]:
    names = [source.stem for source in course.sources]
    if unknown := [o for o in only if not any(name.startswith(o) for name in names)]:
        raise CourseError(f"No source starts with {', '.join(unknown)}. There are: {', '.join(names)}.")
    return [source for source in course.sources if source.stem.startswith(tuple(only) or "")]


def _without_source(course: Course) -> list[Path]:
    known = {source.stem for source in course.sources} | {"checks"}
    found = [*sorted(course.notebooks.glob("*")), *sorted(course.solutions.glob("*.ipynb"))]
    return [p for p in found if p.is_file() and p.stem not in known]


def _write(course: Course, path: Path, content: str | bytes) -> None:
    """Write only what changed, and never half of it."""
    content = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)
    print(f"wrote    {path.relative_to(course.root)}")


def _write_checks(course: Course, folder: Path, checks: Files) -> None:
    """Both files, the tables first: a checks.json without them would be of no use."""
    _write(course, folder / "checks.npz", checks.archive())
    _write(course, folder / "checks.json", checks.text)


def _diff(course: Course, path: Path, wanted: str) -> str:
    name = str(path.relative_to(course.root))
    if not path.exists():
        return f"{name} is missing\n"
    found = path.read_text(encoding="utf-8")
    if path.parent == course.solutions:
        found = _without_outputs(nbformat.reads(found, as_version=4))
    texts = found.splitlines(), wanted.splitlines()
    lines = difflib.unified_diff(*texts, name, f"{name} as build makes it", n=1, lineterm="")
    return "".join(f"{line[:160]}\n" for line in lines)
