"""For plain `nbgrader autograde` and the formgrader's button: what they grade is taken in as `grade` takes it in."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from traitlets.config import Application

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import course_in
from lecture_utils.instructor.grading.intake import taken

_built: dict[str, str] = {}  # the notebook that is graded, by the name of the one that was handed in


def before_autograde(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's ``pre_convert_hook``: build the notebooks anew, and tell nbgrader of those that it did not see."""
    submitted = Path(notebooks[0]).parent
    student = submitted.parent.name  # nbgrader tells the pattern that it was given
    out = Path(_folder().name, student, assignment)
    notebooks.clear()  # nbgrader goes on after an error of the hook
    app = Application.instance() if Application.initialized() else None
    believed = bool(app and app.config.Intake.get("timestamps", False))
    found = taken(course_in(str(submitted.parents[2]), None, assignment), student, out, believed)
    for note in [*found.notes, *found.problems.values()] if app else ():
        app.log.warning("%s: %s", student, note)
    if not found.notebooks:
        raise CourseError(f"{student}: {found.error}")
    for name in found.notebooks:
        notebooks.append(str(submitted / f"{name}.ipynb"))
        _built[notebooks[-1]] = str(out / f"{name}.ipynb")


class HandedInExporter(NotebookExporter):
    """Reads the notebook that was built anew in the place of the one that was handed in."""

    def from_filename(self, filename: str, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        file = _built.pop(filename, filename)
        if self._preprocessors:
            return super().from_filename(file, resources=resources, **kwargs)
        # The first of nbgrader's two passes: there is nothing left to mend.
        return Path(file).read_text(encoding="utf-8"), {**resources, "output_extension": ".ipynb"}


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """Of this process, and gone with it."""
    return tempfile.TemporaryDirectory(prefix="handed-in-")
