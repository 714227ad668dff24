"""nbgrader and its gradebook, for the course in a folder."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from lecture_utils.environment import CourseError, tools
from lecture_utils.instructor.authoring.course import Course

# nbformat's jsonschema would build 35 parsers for kinds of text that notebooks do not have: 1.7 s. Without it, it goes on.
sys.modules.setdefault("rfc3987_syntax", None)
PATIENCE = 60  # seconds to wait for an SQLite database that somebody else writes to; Python's default is 5


@cache
def nbgrader_api(course: Course, sandboxed: bool = True, cell_seconds: int = 60, submission_seconds: int = 600) -> Any:
    """nbgrader, with the configuration of the course. Made once per process and settings."""
    os.environ["PATH"] = tools()["PATH"]  # nbgrader calls alembic by name
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    _wait_for_sqlite()
    warnings.filterwarnings("ignore", module="nbgrader")  # of SQLAlchemy 2.1, on how nbgrader calls it
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    config.Observe.update(sandboxed=sandboxed, timeout=cell_seconds, submission_seconds=submission_seconds)
    config.Exporter.optimistic_validation = True  # once a notebook, not after each preprocessor
    config.Autograde.pre_convert_hook = None  # it has been taken in already
    if course.db:
        config.CourseDirectory.db_url = course.db
    return NbGraderAPI(config=config)


@contextmanager
def open_gradebook(course: Course) -> Iterator[Any]:
    """nbgrader's ``Gradebook`` of the course. Raises ``CourseError`` when it cannot be reached."""
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    try:
        gradebook = Gradebook(nbgrader_api(course).coursedir.db_url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        where = "that --db names" if course.db else f"in {course.root}"  # the name itself may hold a password
        raise CourseError(
            f"The gradebook {where} cannot be opened: {getattr(error, 'orig', None) or error}\n"
            "Nothing is lost: start the same command again when it can."
        ) from None
    with gradebook:
        yield gradebook


def register(course: Course) -> set[str]:
    """See to it that the gradebook knows the assignment as it is now. The names of all that it knows."""
    now = {(e.notebook, e.name, e.points) for e in course.recorded.values()}
    with open_gradebook(course) as gradebook:
        known = {a.name: a.notebooks for a in gradebook.assignments}
        cells = {
            (n.name, cell.name, cell.max_score) for n in known.get(course.assignment, []) for cell in n.grade_cells
        }
    if not now <= cells and course.source.is_dir():
        from lecture_utils.instructor.authoring import build  # takes its time, and is seldom needed

        build.register(course, nbgrader_api(course))
    return set(known)


@cache
def _wait_for_sqlite() -> None:
    """A transaction takes the lock when it begins, and waits for it: then no two wait for one another."""
    from sqlalchemy import Engine, event

    def connected(connection: Any, _: Any) -> None:
        if type(connection).__module__ == "sqlite3":
            connection.isolation_level = None  # SQLAlchemy says when, see below
            connection.execute(f"PRAGMA busy_timeout = {1000 * PATIENCE}")

    def begun(connection: Any) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(Engine, "connect", connected)
    event.listen(Engine, "begin", begun)
