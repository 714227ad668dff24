"""Intake: what is in a hand-in. Its notebooks are found by what is in them, and written anew; it stays as it is.

Files are counted against caps before one is opened, and links are never followed. Everything that is not used is told.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

from nbformat import NotebookNode

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.bounded import bounded
from lecture_utils.instructor.grading.folder import (
    ALL_BYTES,
    BY_MACHINES,
    FILE_BYTES,
    FILES,
    File,
    Unused,
    opened,
    plain,
    walk,
    why_refused,
)
from lecture_utils.instructor.grading.results import METADATA
from lecture_utils.instructor.grading.transplant import GivenCell, Released, answered, key, transplant

SECONDS, MEMORY = 20, 1500 * 2**20  # for one hand-in
NOTEBOOKS = 50  # files that may be notebooks
CELLS, CELL_TEXT, TEXT = 2_000, 50_000, 1_000_000  # of one notebook, the latter two in characters
NOTES = 30
_ADDED_BY_COPYING = re.compile(r"([\s_-]*(\(\d+\)|copy\d*+|checkpoint|final|solved|v?\d{1,2}+))++$")
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass
class Taken:
    """What a hand-in held. ``notebooks`` are written; ``problems`` tells in words why another could not be used."""

    notebooks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    error: str = ""  # why nothing at all can be graded


@dataclass
class Candidate:
    """A file that may be one of the course's notebooks. In a zip its path goes on behind the zip's own."""

    path: str
    unreadable: str = ""  # why
    cells: list[GivenCell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    notebook: NotebookNode | None = None
    answers: int = 0


def taken(course: Course, student: str, out: Path, timestamps: bool = False) -> Taken:
    """``take_in`` with limited seconds and memory. Whatever goes wrong is a ``CourseError`` of this hand-in."""
    try:
        _known(course)  # read once, here, and not in every child
        return bounded(take_in, course, student, out, timestamps, seconds=SECONDS, memory=MEMORY)
    except CourseError:
        raise
    except Exception as error:
        raise CourseError(f"what was handed in cannot be read: {plain(str(error))}") from None


def take_in(course: Course, student: str, out: Path, timestamps: bool = False) -> Taken:
    """Find the notebooks of a hand-in, and write them to ``out`` as they are to be graded. Raises ``CourseError``.

    With ``timestamps`` the time in a student's own timestamp.txt is believed.
    """
    folder, known, found = course.submitted(student), _known(course), Taken()
    if reason := why_refused(folder):
        raise CourseError(reason)
    out.mkdir(parents=True, exist_ok=True)
    files, unused = walk(folder)
    _take_time(folder, files, out if timestamps else None, unused)
    meant: dict[str, list[Candidate]] = {}
    for candidate in _Reader(folder, unused).candidates(files):
        meant.setdefault(_meant(known, candidate), []).append(candidate)
    for candidate in meant.pop("", []):
        unused.setdefault(candidate.unreadable or "none of the notebooks of this course", []).append(candidate.path)
    for name in sorted(meant):
        _choose(name, known[name], meant[name], out, found, unused)
    for why, paths in unused.items():
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        found.notes.append(f"Not used, {why}: {', '.join(map(plain, paths[:5]))}{more}.")
    if not found.notebooks:
        there = ", ".join(plain(f.path) for f in files[:8]) or "nothing that can be looked at"
        found.error = f"there is no notebook of this assignment that can be read, but {there}"
        found.error = "; ".join([found.error, *(f"{name}: {why}" for name, why in found.problems.items())])
    if len(found.notes) > NOTES:
        found.notes[NOTES:] = [f"And {len(found.notes) - NOTES} notes more."]
    return found


def _take_time(folder: Path, files: list[File], out: Path | None, unused: Unused) -> None:
    """A student's own timestamp.txt: nbgrader takes it for the time of the hand-in."""
    file = next((f for f in files if f.path == "timestamp.txt"), None)
    if file is None:
        return
    files.remove(file)
    why = "whoever handed in can write any time into it"
    if out is not None:
        from nbgrader.utils import parse_utc  # takes a second to import, and is seldom wanted

        try:
            with opened(folder, file) as stream:
                text = stream.read(100).decode().strip()
            parse_utc(text)
            (out / "timestamp.txt").write_text(text)
            return
        except (ValueError, OverflowError, OSError):
            why = "it holds no time"
    unused[why] = [file.path]


# --- files that are notebooks ------------------------------------------------------------------------------------


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"it is damaged: line {error.lineno} is not as in a notebook, or the file ends too soon"
    if isinstance(error, RecursionError):
        return "it cannot be read: its parts are nested too deep"
    return f"it cannot be read ({plain(str(error)) or type(error).__name__})"


class _Reader:
    """Reads the files that hold a notebook or have the name of one, as long as the caps allow."""

    def __init__(self, folder: Path, unused: Unused):
        self.folder, self.unused = folder, unused
        self.left, self.more = ALL_BYTES, NOTEBOOKS

    def candidates(self, files: list[File]) -> list[Candidate]:
        """Small files first: what is large is seldom a notebook, and uses up what may be read."""
        files = sorted(files, key=lambda f: (f.size, f.path))
        return [c for f in files for c in self._in(f.path, f.size, partial(opened, self.folder, f))]

    def _in(self, path: str, size: int, opened: Callable[[], IO[bytes]], inside: bool = False) -> list[Candidate]:
        """What is in one file, which may be a zip."""
        try:
            with opened() as stream:
                head = stream.read(400)
                if head.startswith(b"PK") and not inside:
                    stream.seek(0)
                    return self._in_zip(path, zipfile.ZipFile(stream))
                if why := self._why_not(path, size, head):
                    self.unused.setdefault(why, []).append(path)
                    return []
                raw = head + stream.read(FILE_BYTES)  # a zip can tell any size
            self.more, self.left = self.more - 1, self.left - max(size, len(raw))
            if len(raw) > FILE_BYTES:
                return [Candidate(path, "it is too large")]
            found = Candidate(path)
            found.cells = given_cells(json.loads(_decoded(raw, found.notes), object_hook=_lean), found.notes)
            return [found]
        except _UNREADABLE as error:  # RecursionError is a RuntimeError
            return [Candidate(path, _why_unreadable(error))]

    def _why_not(self, path: str, size: int, head: bytes) -> str:
        if head.startswith(b"PK") and ".ipynb" not in path.lower():
            return "a zip in a zip"
        text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        if not text.startswith(b"{") and ".ipynb" not in os.path.basename(path).lower():
            return "no notebook"
        if size > min(FILE_BYTES, self.left):
            return f"larger than {FILE_BYTES // 2**20} MB, or than {ALL_BYTES // 2**20} MB with what was read before"
        return "" if self.more else f"beyond the first {NOTEBOOKS} notebooks"

    def _in_zip(self, path: str, archive: zipfile.ZipFile) -> list[Candidate]:
        found = []
        members = [m for m in archive.infolist() if not m.is_dir() and not BY_MACHINES & set(m.filename.split("/"))]
        for member in members[:FILES]:
            opened = partial(archive.open, member)
            found += self._in(f"{path}/{member.filename}", member.file_size, opened, inside=True)
        if len(members) > FILES:
            self.unused.setdefault(f"beyond the first {FILES} files of a zip", []).append(path)
        return found


def _decoded(raw: bytes, notes: list[str]) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.append("it is not in UTF-8: letters beyond A to Z may be wrong")
        return raw.decode("cp1252", "replace")


def _lean(entry: dict) -> dict:
    """While a file is read, outputs go: they may be larger than all else."""
    entry.pop("outputs", None)
    entry.pop("attachments", None)
    return entry


def given_cells(notebook: Any, notes: list[str]) -> list[GivenCell]:
    """What is used of a notebook's cells, within the caps. Raises ``ValueError`` if it is no notebook."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if isinstance(notebook, dict) and isinstance(sheets := notebook.get("worksheets"), list):  # until 2015
        cells = [c for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list) for c in s["cells"]]
    if not isinstance(cells, list):
        raise ValueError("it is no notebook")
    good, left, lost = [], TEXT, Counter()
    for k, cell in enumerate(cells):
        given = _given(cell) if k < CELLS else None
        if k < CELLS and given is None:
            lost["no cells at all"] += 1
        elif given is not None and len(given.source) > CELL_TEXT:
            lost[f"longer than {CELL_TEXT} characters"] += 1
        elif given is None or len(given.source) > left:
            lost[f"beyond {CELLS} cells or {TEXT} characters"] += 1
        else:
            left -= len(given.source)
            good.append(given)
    notes += [f"{count} of its cells are {why}, and were left out" for why, count in lost.items()]
    return good


def _given(cell: Any) -> GivenCell | None:
    if not isinstance(cell, dict):
        return None
    kind, source = cell.get("cell_type"), cell.get("source", cell.get("input", ""))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if kind not in ("code", "markdown", "raw", "heading") or not isinstance(source, str):
        return None
    if kind == "heading":  # until 2015
        level = cell.get("level")
        kind, source = "markdown", f"{'#' * (level if level in range(1, 7) else 1)} {source}"
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    names = cell.get("id"), about.get("grade_id") if isinstance(about, dict) else ""
    return GivenCell(kind, _whole(source), *(name if isinstance(name, str) else "" for name in names))


def _whole(text: str) -> str:
    """The text without halves of characters, which cannot be written again."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text


# --- which of the course's notebooks -----------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _known(course: Course) -> dict[str, Released]:
    return {name: Released(notebook) for name, notebook in course.released.items()}


def _meant(known: dict[str, Released], candidate: Candidate) -> str:
    """The course's notebook that a file is: by what is in it, else by its name; nothing if it is none."""
    votes: Counter[str] = Counter()
    written: dict[str, set[int]] = {name: set() for name in known}
    for cell in candidate.cells:
        text = key(cell.source)
        for name, released in known.items():
            votes[name] += cell.id in released.by_id or cell.grade_id in released.by_grade_id or text in released.by_key
            written[name] |= released.answers(cell.source)
    for name, count in votes.most_common(1):
        if count >= 0.3 * min(len(known[name].cells), max(len(candidate.cells), 4)):
            return name
    stem = unicodedata.normalize("NFC", os.path.basename(candidate.path)[:255]).lower().split(".")[0]
    by_name = {name.lower(): name for name in known}
    stem = stem if stem in by_name else _ADDED_BY_COPYING.sub("", stem)
    half = next((name for name, answers in written.items() if 2 * len(answers) >= len(known[name].names)), "")
    return by_name.get(stem, half)


def _choose(name: str, released: Released, several: list[Candidate], out: Path, found: Taken, unused: Unused) -> None:
    """Write the one of ``several`` files for a notebook in which most is answered; say what became of the others."""
    good = [c for c in several if not c.unreadable]
    for candidate in good:
        candidate.notebook, candidate.moved = transplant(released, candidate.cells)
        candidate.answers = answered(released, candidate.notebook)
    # Of equals the one with the right name.
    best = max(good or several, key=lambda c: (c.answers, os.path.basename(c.path) == f"{name}.ipynb"))
    for other in several:
        if other is not best:
            why = other.unreadable or f"as there is {plain(best.path)} with as many answers or more"
            unused.setdefault(why, []).append(other.path)
    if best.unreadable:
        found.problems[name] = f"{plain(best.path)} was handed in, but {best.unreadable}"
        return
    if best.path != f"{name}.ipynb":
        found.notes.append(f"{plain(best.path)} was taken for {name}.ipynb.")
    found.notes += [f"{plain(best.path)}: {note}." for note in best.notes]
    best.notebook.metadata[METADATA] = {"moved": best.moved}
    (out / f"{name}.ipynb").write_text(json.dumps(best.notebook, ensure_ascii=False), encoding="utf-8")
    found.notebooks.append(name)
