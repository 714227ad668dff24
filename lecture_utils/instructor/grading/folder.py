"""The folder of a hand-in: counted against caps before anything else looks at it, links never followed, nothing changed."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

ENTRIES, FILES, DEPTH = 100_000, 3_000, 20  # names that are listed, files that are looked at, folders in folders
FILE_BYTES, ALL_BYTES = 100 * 2**20, 300 * 2**20  # of one file, and read in all
BY_MACHINES = {".ipynb_checkpoints", "__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
Unused = dict[str, list[str]]  # why → files


@dataclass(frozen=True)
class File:
    """A plain file of a hand-in."""

    path: str  # inside the hand-in
    size: int
    changed: int  # nanoseconds


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
        there = ", ".join(map(plain, _listed(folder.parent))) or "nothing"
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
            (n for n in names if os.path.basename(n) not in BY_MACHINES), key=lambda n: (".ipynb" not in n.lower(), n)
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
            with opened(folder, file) as stream:
                while part := stream.read(2**20):
                    found.update(part)
        except OSError as error:
            found.update(str(error.errno).encode())
    found.update(repr(unused).encode("utf-8", "backslashreplace"))
    return found.hexdigest()


def opened(folder: Path, file: File) -> IO[bytes]:
    return open(
        folder / file.path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
    )


def printable(text: str) -> str:
    """Names of files may hold bytes that are no text, and what a terminal takes for commands: those become ?."""
    return "".join(c if c.isprintable() else "?" for c in text)


def plain(text: str) -> str:
    """``printable``, and not too long: names may have thousands of characters."""
    text = printable(text)
    return text if len(text) <= 150 else f"{text[:80]}…{text[-65:]}"
