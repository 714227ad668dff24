"""Intake: what is in a hand-in. Its notebooks are found by what is in them, and written anew; it stays as it is.

Files are counted against caps before one is opened, and links are never followed. Everything that is not used is told.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

from nbformat import NotebookNode

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.bounded import bounded
from lecture_utils.instructor.grading.transplant import GivenCell, Released, answered, key, transplant

SECONDS, MEMORY = 20, 1500 * 2**20  # for one hand-in
ENTRIES, FILES, DEPTH = 100_000, 3_000, 20  # names that are listed, files that are looked at, folders in folders
FILE_BYTES, ALL_BYTES = 100 * 2**20, 300 * 2**20  # of one file, and read in all
NOTEBOOKS = 50  # files that may be notebooks
CELLS, CELL_TEXT, TEXT = 2_000, 50_000, 1_000_000  # of one notebook, the latter two in characters
NOTES = 30
_BY_MACHINES = {".ipynb_checkpoints", "__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
_ADDED_BY_COPYING = re.compile(r"([\s_-]*(\(\d+\)|copy\d*+|checkpoint|final|solved|v?\d{1,2}+))++$")
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
Unused = dict[str, list[str]]  # why → files


@dataclass
class Taken:
    """What a hand-in held. ``notebooks`` are written; ``problems`` tells in words why another could not be used."""

    notebooks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    error: str = ""  # why nothing at all can be graded


@dataclass(frozen=True)
class File:
    """A plain file of a hand-in."""

    path: str  # inside the hand-in
    size: int
    changed: int  # nanoseconds


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
        raise CourseError(f"what was handed in cannot be read: {_plain(str(error))}") from None


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
        found.notes.append(f"Not used, {why}: {', '.join(map(_plain, paths[:5]))}{more}.")
    if not found.notebooks:
        there = ", ".join(_plain(f.path) for f in files[:8]) or "nothing that can be looked at"
        found.error = f"there is no notebook of this assignment that can be read, but {there}"
        found.error = "; ".join([found.error, *(f"{name}: {why}" for name, why in found.problems.items())])
    if len(found.notes) > NOTES:
        found.notes[NOTES:] = [f"And {len(found.notes) - NOTES} notes more."]
    return found


def _plain(text: str) -> str:
    """Names may hold what a terminal obeys, bytes that are no text, and thousands of characters."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 150 else f"{text[:80]}…{text[-65:]}"


# --- the folder --------------------------------------------------------------------------------------------------


def why_refused(folder: Path) -> str:
    """Why the hand-in ``folder`` (submitted/STUDENT/ASSIGNMENT) is not looked at; empty if it can be graded."""
    name = folder.parent.name
    if folder.parent.is_symlink() or folder.is_symlink():
        return "its folder is a link, and links are not followed: review it by hand"
    if name.startswith(".") or glob.escape(name) != name or not name.isprintable() or len(os.fsencode(name)) > 200:
        return (
            f"nbgrader cannot take {name!a:.80} for a student's name (it begins with a dot, holds * ? [ or a "
            "character that cannot be printed, or is too long): rename the folder"
        )
    if not _listed(folder):
        there = ", ".join(map(_plain, _listed(folder.parent))) or "nothing"
        return f"there is nothing in {folder.parent.parent.name}/{name}/{folder.name}/, but in {name}/: {there}"
    return ""


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, 5))
    except OSError:
        return []


def alike(names: list[str]) -> list[list[str]]:
    """Groups of student ids that look the same: written with other bytes, in upper case, with signs nobody sees."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        seen = "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if unicodedata.category(c) != "Cf")
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", seen).split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def walk(folder: Path) -> tuple[list[File], Unused]:
    """The plain files of a hand-in within the caps, outer ones first, and what else is there. Nothing is opened."""
    found: list[File] = []
    unused: Unused = {}
    level, listed = [""], 0
    if folder.is_symlink() or folder.parent.is_symlink():
        return found, {"a link, which is not followed": [folder.name]}
    for _ in range(DEPTH + 1):
        names = []
        for inside in level:
            try:
                with os.scandir(folder / inside) as entries:
                    names += [os.path.join(inside, entry.name) for entry in islice(entries, ENTRIES - listed)]
            except OSError:
                unused.setdefault("a folder that cannot be listed", []).append(inside)
            listed += len(names)
        names = sorted(
            (n for n in names if os.path.basename(n) not in _BY_MACHINES), key=lambda n: (".ipynb" not in n.lower(), n)
        )
        level = []
        for name in names:
            kind = _kind(folder, name, found, full=len(found) + len(level) >= FILES)
            if kind == "folder":
                level.append(name)
            elif kind:
                unused.setdefault(kind, []).append(name)
    if level:
        unused[f"more than {DEPTH} folders deep"] = level
    if listed >= ENTRIES:
        unused[f"what comes after {ENTRIES} names"] = ["the rest"]
    return found, unused


def _kind(folder: Path, name: str, found: list[File], full: bool) -> str:
    """ "folder", nothing for a file that is added to ``found``, or why it is not looked at."""
    if full:
        return f"beyond the first {FILES} files"
    try:
        status = os.lstat(folder / name)
    except OSError:
        return "it cannot be looked at"
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
        return "a link, which is not followed (look at it by hand)"
    if not stat.S_ISREG(status.st_mode):
        return "a device and no file"
    found.append(File(name, status.st_size, status.st_mtime_ns))
    return ""


def digest(folder: Path) -> str:
    """Of these very files: names, sizes and what is in them, as far as grading would read it. Raises nothing."""
    found, left = hashlib.sha256(), ALL_BYTES
    files, unused = walk(folder)
    for file in files:
        found.update(os.fsencode(file.path) + f"\0{file.size}\0".encode())
        if file.size > min(FILE_BYTES, left):
            found.update(str(file.changed).encode())
            continue
        left -= file.size
        try:
            with _opened(folder, file) as opened:
                while part := opened.read(2**20):
                    found.update(part)
        except OSError as error:
            found.update(str(error.errno).encode())
    found.update(repr(unused).encode("utf-8", "backslashreplace"))
    return found.hexdigest()


def _opened(folder: Path, file: File) -> IO[bytes]:
    return open(
        folder / file.path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
    )


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
            with _opened(folder, file) as opened:
                text = opened.read(100).decode().strip()
            parse_utc(text)
            (out / "timestamp.txt").write_text(text)
            return
        except (ValueError, OverflowError, OSError):
            why = "it holds no time"
    unused[why] = [file.path]


# --- files that are notebooks ------------------------------------------------------------------------------------


class _Reader:
    """Reads the files that hold a notebook or have the name of one, as long as the caps allow."""

    def __init__(self, folder: Path, unused: Unused):
        self.folder, self.unused = folder, unused
        self.left, self.more = ALL_BYTES, NOTEBOOKS

    def candidates(self, files: list[File]) -> list[Candidate]:
        """Small files first: what is large is seldom a notebook, and uses up what may be read."""
        files = sorted(files, key=lambda f: (f.size, f.path))
        return [c for f in files for c in self._in(f.path, f.size, partial(_opened, self.folder, f))]

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
            return [Candidate(path, f"it cannot be read ({_plain(str(error)) or type(error).__name__})")]

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
        members = [m for m in archive.infolist() if not m.is_dir() and not _BY_MACHINES & set(m.filename.split("/"))]
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
            why = other.unreadable or f"as there is {_plain(best.path)} with as many answers or more"
            unused.setdefault(why, []).append(other.path)
    if best.unreadable:
        found.problems[name] = f"{_plain(best.path)} was handed in, but {best.unreadable}"
        return
    if best.path != f"{name}.ipynb":
        found.notes.append(f"{_plain(best.path)} was taken for {name}.ipynb.")
    found.notes += [f"{_plain(best.path)}: {note}." for note in best.notes]
    best.notebook.metadata["lecture_utils"] = {"moved": best.moved}
    (out / f"{name}.ipynb").write_text(json.dumps(best.notebook, ensure_ascii=False), encoding="utf-8")
    found.notebooks.append(name)
