"""A course: the folder that everything is in, and what is read from it once."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from lecture_utils.checks.recorded import Recorded
    from lecture_utils.instructor.authoring.exercise import Exercise


@dataclass(frozen=True)
class Course:
    """The course in ``root``: ``source/``, ``notebooks/``, ``solutions/``, and what grading adds to them.

    ``db`` is the URL of its gradebook, which may hold a password; without one nbgrader's own is used, gradebook.db.
    """

    root: Path = ROOT
    db: str | None = field(default=None, repr=False)
    assignment: str = ASSIGNMENT

    def __reduce__(self) -> tuple:
        """To another process only the places are sent; what is in them is read there."""
        return course_in, (str(self.root), self.db, self.assignment)

    # --- places ----------------------------------------------------------------------------------------------

    @property
    def source(self) -> Path:
        return self.root / "source" / self.assignment

    @property
    def rubrics(self) -> Path:
        return self.source / "rubrics"

    @property
    def notebooks(self) -> Path:
        """What students get."""
        return self.root / "notebooks" / self.assignment

    @property
    def solutions(self) -> Path:
        return self.root / "solutions" / self.assignment

    def submitted(self, student: str) -> Path:
        return self.root / "submitted" / student / self.assignment

    def autograded(self, student: str) -> Path:
        return self.root / "autograded" / student / self.assignment

    def feedback(self, student: str) -> Path:
        return self.root / "feedback" / student / self.assignment

    @property
    def records(self) -> Path:
        """What `grade` notes of each submission."""
        return self.root / "autograded" / ".records" / self.assignment

    @property
    def sources(self) -> list[Path]:
        """The one source of each notebook, in order."""
        return sorted(self.source.glob("[0-9][0-9]_*.py"))

    # --- what is in them: imported where it is read, so that a command that only needs places starts at once ------

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        """All exercises, from the rubrics."""
        from lecture_utils.instructor.authoring.record import load_rubrics

        return load_rubrics(self.rubrics)

    @cached_property
    def recorded(self) -> dict[str, Recorded]:
        """All exercises as students have them, from checks.json."""
        from lecture_utils.checks.recorded import load

        return load(self.source / "checks.json")

    @cached_property
    def released(self) -> dict[str, NotebookNode]:
        """The notebooks as they are given out, by name. Raises ``CourseError`` when there are none."""
        import nbformat

        found = {p.stem: nbformat.read(p, as_version=4) for p in sorted(self.notebooks.glob("*.ipynb"))}
        if not found:
            raise CourseError(f"There are no notebooks in {self.notebooks}. First: python3 -m lecture_utils build")
        return found

    @cached_property
    def secret(self) -> str:
        """What hidden cases are drawn from: made at first use, kept beside nbgrader_config.py, never given out."""
        file = self.root / "grading_secret"
        try:
            with open(file, "x", opener=_for_the_owner) as new:
                new.write(secrets.token_hex(32) + "\n")
        except FileExistsError:
            pass
        if len(text := file.read_text().strip()) < 32:
            raise CourseError(f"{file} is damaged. Restore it, or delete it and grade everything again with --force.")
        return text


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@lru_cache(maxsize=4)
def course_in(root: str, db: str | None = None, assignment: str = ASSIGNMENT) -> Course:
    """The same ``Course`` for the same folder: its rubrics are read once in a process."""
    return Course(Path(root), db, assignment)
