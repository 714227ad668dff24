"""What is recorded of an exercise, and finding the files that hold it: checks.json, and checks.npz beside it."""

from __future__ import annotations

import difflib
import json
import zipfile
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lecture_utils.checks.observers import Observer, from_json
from lecture_utils.checks.sketch import PART, WHOLE, Tables
from lecture_utils.checks.traces import Trace, decode

FORMAT = 2  # of both files
PARTS = tuple(field.name for field in fields(Tables))
TAKE_IT_AGAIN = "Take checks.json and checks.npz from the course's zip file again."


@dataclass(frozen=True)
class Said:
    """A slip as it travels: its name, what to tell the student, the share of the points."""

    name: str
    message: str
    credit: float


@dataclass(frozen=True)
class Recorded:
    """An exercise as a student's machine has it. ``data`` is its entry in checks.json, ``file`` where that was found."""

    name: str
    data: dict[str, Any]
    file: Path

    @property
    def notebook(self) -> str:
        return self.data["notebook"]

    @property
    def points(self) -> int:
        return self.data["points"]

    @property
    def number(self) -> str:
        """Of the exercise in its notebook, such as "4.1"; empty for questions."""
        return self.data.get("number", "")

    @property
    def question(self) -> dict[str, Any] | None:
        return self.data.get("question")

    @property
    def is_function(self) -> bool:
        """Whether numbers are compared; else it is a question, or an exam's record without what is right."""
        return "reference" in self.data

    @cached_property
    def observer(self) -> Observer:
        return from_json(self.data["observer"])

    @cached_property
    def reference(self) -> list[Trace]:
        return [decode(trace) for trace in self.data["reference"]]

    @cached_property
    def slips(self) -> list[Said]:
        return [Said(*each) for each in self.data["slips"]]

    @cached_property
    def tables(self) -> Tables:
        """Of its slips. Raises ``ValueError`` with what to do when checks.npz is not there, damaged, or another course's."""
        file = self.file.with_name("checks.npz")
        try:
            with np.load(file) as arrays:
                tables = Tables(*(arrays[f"{self.name}.{part}"] for part in PARTS))
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file} is missing or damaged ({type(error).__name__}). {TAKE_IT_AGAIN}") from None
        shapes = (tables.singles.shape[1:], tables.parts.shape[2:], tables.pairs.shape[1:])
        if len(tables.singles) != len(self.slips) or shapes != ((WHOLE,), (PART,), (WHOLE,)):
            raise ValueError(f"{file} and {self.file.name} are not of one build. {TAKE_IT_AGAIN}")
        return tables


def find_exercise(name: str, checks_file: str | Path | None = None) -> Recorded:
    """The recorded exercise ``name``, from ``checks_file`` or from the nearest checks.json that knows it."""
    files = [Path(checks_file)] if checks_file else nearby()
    if not files:
        raise FileNotFoundError(
            f"checks.json was not found in {Path.cwd()} or above. It belongs beside the notebook: "
            "take it from the course's zip file again."
        )
    known: list[str] = []
    for file in files:
        exercises = load(file)
        if name in exercises:
            return exercises[name]
        known += exercises
    close = difflib.get_close_matches(name, known, 1)
    here = [n for n, e in exercises.items() if not e.question][:8]
    hint = f"Did you mean {close[0]}?" if close else f"There are, for example, {', '.join(here)}."
    raise LookupError(f"There is no exercise called {name!r}. {hint}")


def load(file: str | Path) -> dict[str, Recorded]:
    """All exercises of a checks.json by name. Raises ``FileNotFoundError`` or ``ValueError`` with what to do."""
    file = Path(file)
    try:
        data = _parsed(file, file.stat().st_mtime_ns)
        if data["format"] != FORMAT:
            older = "an older" if data["format"] in range(FORMAT) else "another"
            raise ValueError(
                f"{file} has {older} format ({data['format']}) than this lecture_utils, which reads {FORMAT}: "
                "take the course's new zip file, and copy your notebooks into it."
            )
        return {name: _recorded(name, file, file.stat().st_mtime_ns) for name in data["exercises"]}
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing. {TAKE_IT_AGAIN}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}: {error}). {TAKE_IT_AGAIN}") from None


@lru_cache(maxsize=4)  # reading a megabyte takes longer than most checks; a changed file has another time
def _parsed(file: Path, changed: int) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


@lru_cache(maxsize=300)
def _recorded(name: str, file: Path, changed: int) -> Recorded:
    return Recorded(name, _parsed(file, changed)["exercises"][name], file)


def nearby() -> list[Path]:
    """Every checks.json of the working folder and of the folders above it, nearest first."""
    found = []
    for folder in (Path.cwd(), *Path.cwd().parents):
        found += [folder / "checks.json", *sorted(folder.glob("notebooks/*/checks.json"))]
        if (folder / "nbgrader_config.py").exists() or (folder / "lecture_utils").is_dir():
            break  # the course's root
    return [f for f in found if f.is_file()]
