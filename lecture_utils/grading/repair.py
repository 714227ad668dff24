"""Repair of what reaches an instructor: whatever happened to a notebook on its way, it is graded, and nobody else waits.

``tidy`` mends the folder of a submission, ``Repair`` the notebook. Each mend is told in the log and in the class report;
what is taken out of a folder is kept beside it, in ``.lecture12.set_aside``.
"""

from __future__ import annotations

import ast
import json
import re
import secrets
import shutil
import stat
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import parse_utc

from lecture_utils.environment import ROOT

LARGEST_FILE = 50 * 2**20  # bytes
_ADDED_BY_COPYING = re.compile(r"([\s_-]*(\(\d+\)|copy\d*|checkpoint|final|solved|v?\d{1,2}))+$", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """A cell that nbgrader knows, as the instructor made it. ``metadata`` is its whole nbgrader entry."""

    name: str
    source: str
    metadata: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.metadata["cell_type"]


@cache
def wanted_cells(db_url: str, assignment: str) -> dict[str, list[Wanted]]:
    """Notebook name → its known cells in order, from the gradebook."""
    with Gradebook(db_url) as gradebook:
        return {n.name: _of_notebook(n) for n in gradebook.find_assignment(assignment).notebooks}


def _of_notebook(notebook: Any) -> list[Wanted]:
    graded = {c.name: c for c in notebook.grade_cells}
    answers, tasks = {c.name for c in notebook.solution_cells}, {c.name: c for c in notebook.task_cells}
    cells = []
    for c in notebook.source_cells:
        points = graded.get(c.name) or tasks.get(c.name)
        metadata = {"grade_id": c.name, "schema_version": 3, "locked": bool(c.locked), "cell_type": c.cell_type}
        metadata |= {"grade": c.name in graded, "solution": c.name in answers, "task": c.name in tasks}
        metadata |= {"checksum": c.checksum} | ({"points": points.max_score} if points else {})
        cells.append(Wanted(c.name, c.source, metadata))
    return cells


# --- the folder --------------------------------------------------------------------------------------------------


def before_autograde(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's ``pre_convert_hook``: mend the folder, and the list of notebooks that nbgrader has made of it."""
    folder = Path(notebooks[0]).parent
    tidy(folder)
    notebooks[:] = sorted(str(p) for p in folder.glob("*.ipynb"))


def tidy(folder: Path, names: dict[str, list[Wanted]] | None = None) -> list[str]:
    """Mend the folder of one submission: links, nested folders, damaged and renamed notebooks. What was done."""
    notes: list[str] = []
    names = names if names is not None else _names_of_course(folder.name)

    def set_aside(path: Path, why: str) -> None:
        target = folder.parent / f".{folder.name}.set_aside" / path.name
        target.parent.mkdir(exist_ok=True)
        while target.exists() or target.is_symlink():
            target = target.with_name(f"{target.name}~")
        shutil.move(path, target)
        notes.append(f"{path.relative_to(folder)} was set aside: {why}")

    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode if path.is_symlink() or path.exists() else None
        if mode is not None and stat.S_ISDIR(mode) and path.suffix == ".ipynb":
            set_aside(path, "it is a folder with the name of a notebook")
        elif mode is None or stat.S_ISDIR(mode):
            continue
        elif stat.S_ISLNK(mode) or not stat.S_ISREG(mode):
            set_aside(path, "it is a link or a device, not a file")
        elif path.stat().st_size > LARGEST_FILE:
            set_aside(path, f"it is larger than {LARGEST_FILE // 2**20} MB")
    if (stamp := folder / "timestamp.txt").is_file():
        try:
            parse_utc(stamp.read_text().strip())
        except (ValueError, OverflowError):
            set_aside(stamp, "it holds no time")
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and ".ipynb" in p.name.lower()):
        if ".ipynb_checkpoints" in path.parts:
            continue
        try:
            notebook, mended = _read(path)
        except (ValueError, RecursionError) as error:
            set_aside(path, f"it cannot be read ({error})")
            continue
        name = path.stem if path.stem in names and path.suffix == ".ipynb" else _meant(path, notebook, names)
        target = folder / f"{name}.ipynb"
        if path != target and target.exists():
            set_aside(path, f"there is a {target.name} already")
            continue
        if path != target:
            notes.append(f"{path.relative_to(folder)} was taken for {target.name}")
        if mended:
            shutil.copy2(path, folder.parent / f".{folder.name}.{path.name}.as_handed_in")
            notes += [f"{target.name}: {m}" for m in mended]
            target.write_text(json.dumps(notebook), encoding="utf-8")
            if path != target:
                path.unlink()
        elif path != target:
            path.rename(target)
    return notes


def _read(path: Path) -> tuple[dict, list[str]]:
    """A notebook file as JSON that nbformat can read, and what had to be mended. Raises ValueError if it is none."""
    raw, notes = path.read_bytes(), []
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        try:
            notebook = json.loads(raw.decode(encoding))
            break
        except (UnicodeError, json.JSONDecodeError) as error:
            problem = error
    else:
        raise ValueError(str(problem)[:80])
    if encoding != "utf-8":
        notes.append(f"was in {encoding}")
    if b"\\ud" in raw.lower():  # half a character, which cannot be written again, or one that is written in two halves
        whole = json.loads(json.dumps(notebook, ensure_ascii=False).encode("utf-8", "replace"))
        if whole != notebook:
            notebook, notes = whole, [*notes, "characters were mended"]
    if isinstance(notebook, dict) and "worksheets" in notebook:
        notebook, notes = nbformat.convert(nbformat.from_dict(notebook), 4), [*notes, "was in an old format"]
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("no notebook")
    cells = [_sound(c) for c in notebook["cells"]]
    good = [c for c in cells if c is not None]
    sound = {"nbformat": 4, "nbformat_minor": 5, "cells": good}
    sound["metadata"] = notebook["metadata"] if isinstance(notebook.get("metadata"), dict) else {}
    sound["metadata"].pop("widgets", None)
    if not isinstance(notebook.get("metadata"), dict) or not _is_valid(sound):
        notes.append("metadata was mended")
        kept = {key: sound["metadata"].get(key) for key in ("kernelspec", "language_info")}
        sound["metadata"] = {key: value for key, value in kept.items() if isinstance(value, dict) and "name" in value}
        for cell in good:
            cell["metadata"] = {key: cell["metadata"][key] for key in ("nbgrader", "tags") if key in cell["metadata"]}
            cell.pop("attachments", None)
    if good != notebook["cells"] or notebook.get("nbformat") != 4 or notes:
        if len(good) < len(cells):
            notes.append(f"{len(cells) - len(good)} broken cell(s) left out")
        return sound, notes or ["cells were mended"]
    return notebook, notes


def _is_valid(notebook: dict) -> bool:
    """Whether nbformat takes it, ids of cells aside: it makes new ones."""
    cells = [{key: value for key, value in cell.items() if key != "id"} for cell in notebook["cells"]]
    return nbformat.validator.isvalid(nbformat.from_dict({**notebook, "nbformat_minor": 4, "cells": cells}))


def _sound(cell: Any) -> dict[str, Any] | None:
    """The cell with the parts that every reader relies on; None if there is nothing in it."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    metadata = cell.get("metadata")
    good = {**cell, "metadata": metadata if isinstance(metadata, dict) else {}}
    if not isinstance(cell.get("source"), str | list):
        good["source"] = source
    if isinstance(good["metadata"].get("tags", []), list) is False:
        good["metadata"] = {k: v for k, v in good["metadata"].items() if k != "tags"}
    if "id" in good and not (isinstance(good["id"], str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", good["id"])):
        good["id"] = secrets.token_hex(4)
    if cell["cell_type"] == "code":
        good |= {"outputs": cell["outputs"] if _are_outputs(cell.get("outputs")) else [], "execution_count": None} | (
            {"execution_count": cell["execution_count"]} if isinstance(cell.get("execution_count"), int) else {}
        )
    return good


_PARTS = {  # of outputs: all are cleared before grading, but only after nbformat has looked at them
    "stream": {"name": str, "text": str | list},
    "display_data": {"data": dict, "metadata": dict},
    "execute_result": {"data": dict, "metadata": dict, "execution_count": int | None},
    "error": {"ename": str, "evalue": str, "traceback": list},
}


def _are_outputs(outputs: Any) -> bool:
    return isinstance(outputs, list) and all(
        isinstance(o, dict)
        and isinstance(kind := o.get("output_type"), str)
        and kind in _PARTS
        and all(key in o and isinstance(o[key], of) for key, of in _PARTS[kind].items())
        for o in outputs
    )


def _meant(path: Path, notebook: dict, names: dict[str, list[Wanted]]) -> str:
    """The course's notebook that a renamed one is: by what is in it, else by its name."""
    sources = {"".join(c["source"]).strip() for c in notebook["cells"]}
    ids = {
        (c["metadata"].get("nbgrader") or {}).get("grade_id")
        for c in notebook["cells"]
        if isinstance(c["metadata"].get("nbgrader"), dict)
    }

    def likeness(name: str) -> float:
        cells = names[name]
        same = sum(c.name in ids or c.source.strip() in sources for c in cells)
        return same / len(cells) if cells else 0.0

    if names and likeness(best := max(names, key=likeness)) >= 0.5:
        return best
    stem = _ADDED_BY_COPYING.sub("", path.name.lower().split(".ipynb")[0])
    return next((n for n in names if n.lower() == stem), path.name.split(".ipynb")[0])


def _names_of_course(assignment: str) -> dict[str, list[Wanted]]:
    """Of the nbgrader command that is running; in the formgrader's server, of the course's own configuration."""
    from traitlets.config import Application

    from lecture_utils.grading.batch import nbgrader_api

    app = Application.instance() if Application.initialized() else None
    coursedir = getattr(app, "coursedir", None) or nbgrader_api(str(ROOT), None).coursedir
    return wanted_cells(coursedir.db_url, assignment)


# --- the notebook ------------------------------------------------------------------------------------------------


class Repair(NbGraderPreprocessor):
    """Gives every cell that nbgrader knows its metadata back, and puts back the cells that are gone."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        wanted = wanted_cells(names["db_url"], names["assignment"])[names["notebook"]]
        notes = repair(nb, wanted)
        for note in notes:
            self.log.warning("Repaired %s: %s", names["notebook"], note)
        nb.metadata["repairs"] = notes  # until the second half of autograding reads it
        return nb, resources


class KeepRepairs(NbGraderPreprocessor):
    """Hands what ``Repair`` wrote to the second half of autograding."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        resources["repairs"] = nb.metadata.pop("repairs", [])
        return nb, resources


def repair(nb: NotebookNode, wanted: list[Wanted]) -> list[str]:
    """Mend ``nb`` in place; what was done. Every wanted cell is there exactly once afterwards, with its own metadata."""
    notes: list[str] = []
    places: dict[str, list[int]] = {w.name: [] for w in wanted}
    for i, cell in enumerate(nb.cells):
        entry = cell.metadata.pop("nbgrader", None)
        name = entry.get("grade_id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name in places:
            places[name].append(i)
            if any(entry.get(k) != v for k, v in _flags(wanted, name).items()):
                notes.append(f"the metadata of {name} had been changed")
        elif entry:
            notes.append(f"a cell that claims to be {name!r:.40} is not of this notebook")
    taken: dict[int, Wanted] = {}
    missing = []
    for w in wanted:
        found = places[w.name]
        if len(found) > 1:
            notes.append(f"{len(found)} copies of {w.name}")
        if not found:
            found = [i for i, c in enumerate(nb.cells) if i not in taken and _is_like(c, w) and not _claimed(places, i)]
            notes.append(f"{w.name} had lost its metadata" if found else f"{w.name} was missing")
        # The last copy that was written in: what runs last counts in a notebook.
        written = [i for i in found if w.metadata["locked"] or nb.cells[i].source.strip() != w.source.strip()]
        if found:
            taken[(written or found)[-1]] = w
        else:
            missing.append(w)
    for i, w in taken.items():
        _become(nb.cells[i], w)
    at = {w.name: nb.cells[i] for i, w in taken.items()}
    for w in missing:
        before = [at[v.name] for v in wanted[: wanted.index(w)] if v.name in at]
        if w.metadata["locked"] or w.metadata["grade"]:
            new = nbformat.v4.new_code_cell() if w.kind == "code" else nbformat.v4.new_markdown_cell()
            new.source = w.source
            _become(new, w)
            index = next(k for k, c in enumerate(nb.cells) if c is before[-1]) + 1 if before else len(nb.cells)
            nb.cells.insert(index, new)
            at[w.name] = new
    return notes


def _flags(wanted: list[Wanted], name: str) -> dict[str, Any]:
    metadata = next(w.metadata for w in wanted if w.name == name)
    return {k: metadata[k] for k in ("grade", "solution", "locked", "schema_version")}


def _claimed(places: dict[str, list[int]], i: int) -> bool:
    return any(i in found for found in places.values())


def _is_like(cell: NotebookNode, w: Wanted) -> bool:
    """Whether a cell without metadata is this one: the same text, or an answer that defines the same names."""
    if cell.cell_type != w.kind:
        return False
    if cell.source.strip() == w.source.strip():
        return True
    if w.metadata["locked"]:
        return False
    if w.kind == "code":
        return bool(_defined(w.source)) and _defined(w.source) <= _defined(cell.source)
    return SequenceMatcher(None, cell.source, w.source).ratio() > 0.5


def _defined(source: str) -> set[str]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))
    names = {s.name for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)}
    return names | {t.id for s in body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}


def _become(cell: NotebookNode, w: Wanted) -> None:
    if cell.cell_type != w.kind:
        cell.cell_type = w.kind
        cell.pop("outputs", None), cell.pop("execution_count", None), cell.pop("attachments", None)
        if w.kind == "code":
            cell.outputs, cell.execution_count = [], None
    if w.metadata["locked"]:
        cell.source = w.source
    cell.metadata["nbgrader"] = nbformat.from_dict(w.metadata)
