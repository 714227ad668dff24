"""The instructor's `build`: one text source in, student notebooks, executed solutions and checks.json out."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from traitlets.config import Config

from lecture_utils.environment import ASSIGNMENT, NOTEBOOKS, ROOT, SOLUTIONS, SOURCE, CourseError, sources, tools
from lecture_utils.instructor.authoring import practice, questions
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.files import Files, exam_text, files, stale
from lecture_utils.instructor.authoring.record import load_rubrics

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CELL_TIME_LIMIT = 120  # seconds


def build(only: list[str] | None = None) -> None:
    """Build the notebooks whose names start with one of ``only``, or all. Raises ``CourseError`` with what to mend."""
    chosen = _chosen(only)
    for source in chosen:
        if edited := edits(source):
            _write(source, edited)
    exercises = load_rubrics(SOURCE / "rubrics")
    checks = files(exercises, old=SOURCE / "checks.json")
    _write_checks(SOURCE, checks)
    notebooks = {source.stem: read_source(source, exercises) for source in chosen}
    for name, notebook in notebooks.items():
        _write(SOURCE / f"{name}.ipynb", _text(notebook))
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(_release(Path(folder), database=True)):
            if name in notebooks or not (NOTEBOOKS / f"{name}.ipynb").exists():
                _write(NOTEBOOKS / f"{name}.ipynb", _normal(Path(folder) / ASSIGNMENT / f"{name}.ipynb"))
    _write_checks(NOTEBOOKS, checks)
    # Two at a time: notebooks are single-threaded, and most laptops have two cores to spare.
    with ThreadPoolExecutor(2) as pool:
        for name, text in zip(notebooks, pool.map(solution, notebooks.values(), notebooks), strict=True):
            _write(SOLUTIONS / f"{name}.ipynb", text)
    if not only:
        for stale in _stale(NOTEBOOKS, "*") + _stale(SOLUTIONS, "*.ipynb"):
            stale.unlink()
            print(f"removed  {stale.relative_to(ROOT)}: it has no source")
    # Notebook 8 links to headings and repeats corrections of the others.
    for source in (s for s in sources() if s.stem not in notebooks):
        now = _without_outputs(_solution_cells(read_source(source, exercises)))
        if _diff(SOLUTIONS / f"{source.stem}.ipynb", now):
            print(f"stale    {source.stem}: build it, too")


def check(only: list[str] | None = None) -> str:
    """A readable diff between what ``build`` would write and what is there; empty when all is current.

    Outputs of solutions are not looked at here: nbval runs and compares them.
    """
    exercises = load_rubrics(SOURCE / "rubrics")
    if names := stale(exercises, SOURCE / "checks.json"):
        return f"checks.json: {', '.join(names)}: changed since the last build.\n"
    checks = files(exercises, old=SOURCE / "checks.json").text
    pairs = [(SOURCE / "checks.json", checks), (NOTEBOOKS / "checks.json", checks)]
    chosen = _chosen(only)
    if edited := [s.with_suffix(".ipynb").name for s in chosen if edits(s)]:
        return f"{', '.join(edited)}: edited since the last build. `build` takes it over.\n"
    with tempfile.TemporaryDirectory() as folder:
        for source in chosen:
            notebook = read_source(source, exercises)
            _write(SOURCE / f"{source.stem}.ipynb", _text(notebook), say=False)
            pairs.append((SOLUTIONS / f"{source.stem}.ipynb", _without_outputs(_solution_cells(notebook))))
        _release(Path(folder), database=False)
        for source in chosen:
            made = Path(folder) / ASSIGNMENT / f"{source.stem}.ipynb"
            pairs.append((NOTEBOOKS / f"{source.stem}.ipynb", _normal(made)))
    tables = [folder / "checks.npz" for folder in (SOURCE, NOTEBOOKS)]
    alike = all(t.is_file() for t in tables) and tables[0].read_bytes() == tables[1].read_bytes()
    differ = "" if alike else "checks.npz is missing, or not the same in both folders\n"
    return (
        differ
        + "".join(_diff(path, text) for path, text in pairs)
        + "".join(
            f"{p.relative_to(ROOT)} has no source\n" for p in _stale(NOTEBOOKS, "*") + _stale(SOLUTIONS, "*.ipynb")
        )
    )


def exam(folder: Path) -> None:
    """Write the graded version of the questions to ``folder``: a notebook and a checks.json that hold no answer.

    The study guide and the corrections stay out, too. Grading compares with the rubrics, which stay here.
    """
    exercises = load_rubrics(SOURCE / "rubrics")
    asked = {name: e for name, e in exercises.items() if isinstance(e.question, questions.Question)}
    (name,) = {e.notebook for e in asked.values()}
    notebook = read_source(SOURCE / f"{name}.py", exercises)
    _write(SOURCE / f"{name}.ipynb", _text(notebook), say=False)
    with tempfile.TemporaryDirectory() as made:
        _release(Path(made), database=False)
        notebook = nbformat.read(Path(made) / ASSIGNMENT / f"{name}.ipynb", as_version=4)
    practice.leave_out_notes(notebook)
    for file, text in ((f"{name}.ipynb", _text(notebook)), ("checks.json", exam_text(asked))):
        folder.mkdir(parents=True, exist_ok=True)
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


def read_source(source: Path, exercises: dict[str, Exercise]) -> NotebookNode:
    """The notebook of a percent script, with stable cell ids, its graded cells compared with the rubrics."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    practice.expand(notebook)
    for cell, name in zip(notebook.cells, _ids(notebook, source.stem), strict=True):
        cell.id = name
    _compare_with_rubrics(notebook, source, exercises)
    return notebook


def as_source(notebook: NotebookNode) -> str:
    """A notebook as the percent script that goes into version control."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = nbformat.from_dict(
        {
            # The filter keeps jupytext's own version number, which changes on every machine, out of the diffs.
            "jupytext": {"formats": "ipynb,py:percent", "notebook_metadata_filter": "-jupytext.text_representation"},
            "kernelspec": KERNEL,
        }
    )
    return jupytext.writes(notebook, fmt="py:percent")


def _ids(notebook: NotebookNode, name: str) -> list[str]:
    """Cell ids made from the cells' text: they stay when another cell is added or removed."""
    ids: list[str] = []
    for cell in notebook.cells:
        digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        again = sum(i.startswith(f"{name[:2]}-{digest}") for i in ids)
        ids.append(f"{name[:2]}-{digest}" + (f"-{again}" if again else ""))
    return ids


def _compare_with_rubrics(notebook: NotebookNode, source: Path, exercises: dict[str, Exercise]) -> None:
    graded = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")}
    wanted = {e.name: e.points for e in exercises.values() if e.notebook == source.stem}
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


def register(api: Any) -> None:
    """Tell the gradebook of nbgrader's ``api`` which cells the assignment has; writes no notebook of the course."""
    from nbgrader.utils import temp_attrs

    exercises = load_rubrics(SOURCE / "rubrics")
    for source in sources():
        _write(SOURCE / f"{source.stem}.ipynb", _text(read_source(source, exercises)), say=False)
    # In this process: the address may hold a password, which a command line would show to all who use the machine.
    with tempfile.TemporaryDirectory() as folder, temp_attrs(api.coursedir, release_directory=folder):
        told = api.generate_assignment(ASSIGNMENT)
    if not told["success"]:
        raise CourseError(_errors(told["log"]))


def _release(folder: Path, database: bool) -> list[str]:
    """Let nbgrader make the student notebooks in ``folder``; their names."""
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", ASSIGNMENT, "--force", "--create"]
    command += [f"--CourseDirectory.release_directory={folder}"] + ([] if database else ["--no-db"])
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=tools())
    if run.returncode:
        raise CourseError(_errors(run.stderr))
    return [p.stem for p in (folder / ASSIGNMENT).glob("*.ipynb")]


def _errors(log: str) -> str:
    lines = [line for line in log.splitlines() if "ERROR" in line or "Error" in line]
    return "nbgrader generate_assignment failed:\n" + ("\n".join(lines) or log)


def solution(notebook: NotebookNode, name: str) -> str:
    """The executed notebook as text. Raises ``CourseError`` when a cell fails that is not meant to."""
    notebook = _solution_cells(notebook)
    SOLUTIONS.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIME_LIMIT,
        kernel_name=KERNEL["name"],
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,  # how printed lines arrive in pieces differs from run to run
        resources={"metadata": {"path": str(SOLUTIONS)}},
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
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for output in (o for c in notebook.cells for o in c.get("outputs", [])):
        # A widget needs its kernel: without one only its picture can be shown, and its random id would be new each time.
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    _keep_what_differs_between_machines(notebook, SOLUTIONS / f"{name}.ipynb")
    return _text(notebook)


def _solution_cells(notebook: NotebookNode) -> NotebookNode:
    """The source with nbgrader's solution markers taken out, and with the right answers to questions."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        lines = [
            line for line in cell.source.splitlines() if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
        ]
        cell.source = "\n".join(lines)
    practice.fill_in(notebook)
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


def _normal(path: Path) -> str:
    """A notebook that nbgrader wrote, as text that is the same on every machine."""
    return _text(nbformat.read(path, as_version=4))


def _text(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4) + "\n"


# --- files -------------------------------------------------------------------------------------------------------


def _chosen(only: list[str] | None) -> list[Path]:
    if not only:
        return sources()
    names = [s.stem for s in sources()]
    if unknown := [o for o in only if not any(name.startswith(o) for name in names)]:
        raise CourseError(f"No source starts with {', '.join(unknown)}. There are: {', '.join(names)}.")
    return [s for s in sources() if s.stem.startswith(tuple(only))]


def _stale(folder: Path, pattern: str) -> list[Path]:
    known = {s.stem for s in sources()} | {"checks"}
    return [p for p in sorted(folder.glob(pattern)) if p.is_file() and p.stem not in known]


def _write(path: Path, text: str, say: bool = True) -> None:
    """Write only what changed, and never half of it."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    shutil.move(new, path)
    if say:
        print(f"wrote    {path.relative_to(ROOT)}")


def _write_checks(folder: Path, checks: Files) -> None:
    """Both files, the tables first: a checks.json without them would be of no use."""
    archive, tables = checks.archive(), folder / "checks.npz"
    if not tables.exists() or tables.read_bytes() != archive:
        folder.mkdir(parents=True, exist_ok=True)
        new = tables.with_name("checks.npz.new")
        new.write_bytes(archive)
        shutil.move(new, tables)
        print(f"wrote    {tables.relative_to(ROOT)}")
    _write(folder / "checks.json", checks.text)


def _diff(path: Path, wanted: str) -> str:
    name = str(path.relative_to(ROOT))
    if not path.exists():
        return f"{name} is missing\n"
    found = path.read_text(encoding="utf-8")
    if path.parent == SOLUTIONS:
        found = _without_outputs(nbformat.reads(found, as_version=4))
    lines = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), name, f"{name} as build makes it", "", "", 1, ""
    )
    return "".join(f"{line[:160]}\n" for line in lines)
