"""`grade`: nbgrader's own autograding, many submissions at a time, that can be killed at any moment and started again.

A submission is graded in a folder of its own and moved into ``autograded/`` when it is complete. A record of it in
``autograded/.records/`` comes last: what has one, for the very files that were handed in, is done.
"""

from __future__ import annotations

import glob
import hashlib
import json
import multiprocessing
import os
import platform
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError, tools
from lecture_utils.instructor.grading import sandbox

LOCKED_RETRIES, LOCKED_WAIT = 5, 2.0  # when SQLite sees a deadlock it does not wait: times, seconds
SQLITE_PATIENCE = 60  # seconds to wait for a database that somebody else writes to; Python's default is 5
WORKER_MEMORY = 6 * 2**30  # bytes of address space, of which an idle worker has one
# nbformat's jsonschema would build 35 parsers for kinds of text that notebooks do not have: 1.7 s. Without it, it goes on.
sys.modules.setdefault("rfc3987_syntax", None)
DEATHS = 2  # of its process, after which a submission is given up
OWN_SECONDS = 300  # of processor time in the grading process itself, for one submission: an honest one takes ten


@dataclass(frozen=True)
class Job:
    """One submission, and how to grade it. Plain data: it travels to other processes and machines."""

    student: str
    assignment: str
    root: str = str(ROOT)
    db: str | None = field(default=None, repr=False)  # may hold a password
    sandboxed: bool = True
    cell_seconds: int = 60
    submission_seconds: int = 600
    feedback: bool = True

    @property
    def folder(self) -> Path:
        return Path(self.root, "submitted", self.student, self.assignment)

    @property
    def graded(self) -> Path:
        return Path(self.root, "autograded", self.student, self.assignment)

    def record(self, suffix: str = "json") -> Path:
        return Path(self.root, "autograded", ".records", self.assignment, f"{self.student}.{suffix}")


def grade(assignment: str = ASSIGNMENT, student: str = "*", force: bool = False, workers: int | None = None,
          db: str | None = None, cluster: str | None = None, **settings: Any) -> int:  # fmt: skip
    """Grade ``submitted/STUDENT/assignment``; 0 if all went well, 1 if a submission could not be graded.

    ``student`` is a glob pattern, ``db`` a database URL, ``cluster`` the address of a Dask scheduler whose workers see
    this folder under the same path; ``settings`` are fields of ``Job``. Raises ``CourseError``.
    """
    students = sorted(p for p in (ROOT / "submitted").glob(student) if p.is_dir() or p.is_symlink())
    if not any(os.path.lexists(p / assignment) for p in students):
        raise CourseError(
            f"Nothing matches submitted/{student}/{assignment}/ in {ROOT}. "
            f"Put each student's notebooks into submitted/STUDENT/{assignment}/."
        )
    sandboxed = settings.get("sandboxed", True)
    if sandboxed and (reason := sandbox.why_not()):
        raise CourseError(f"{reason}\nOnly for code that you would run yourself: --unsandboxed.")
    if not sandboxed:
        print("Warning: without the sandbox a submission can do whatever you can.", file=sys.stderr)
    with _alone():
        others = _prepare(assignment, db) - {assignment}
        shutil.rmtree(_stages(ROOT), ignore_errors=True)
        # A folder without this assignment is told of, unless it is our own or holds another assignment.
        folders = [p for p in students if os.path.lexists(p / assignment)
                   or not (p.name.startswith(".") or any((p / other).is_dir() for other in others))]  # fmt: skip
        jobs = [Job(p.name, assignment, db=db, **settings) for p in folders]
        todo = [j for j in jobs if force or not is_done(j)]
        print(f"{len(jobs)} submissions, {len(jobs) - len(todo)} graded already")
        results = _work_off(todo, lambda: _executor(workers, cluster, len(todo)))
    failed = [r for r in results if r["error"]]
    for r in sorted(results, key=lambda r: r["student"]):
        if r["notes"] or r["error"]:
            print(f"  {_printable(r['student']):20} {'; '.join(filter(None, [r['error'], *r['notes']]))}")
    if todo:
        print(f"{len(results) - len(failed)} graded, {len(failed)} failed; logs: {jobs[0].record().parent}")
    return 1 if failed else 0


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else grades in this folder meanwhile. The lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    (ROOT / "autograded").mkdir(exist_ok=True)
    with (ROOT / "autograded" / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourseError("Another `grade` is at work in this folder. Wait until it has ended.") from None
        yield


def is_done(job: Job) -> bool:
    """Whether these very files were graded to the end, by `grade` or by another nbgrader command."""
    from lecture_utils.instructor.grading.repair import why_refused

    try:
        if not job.graded.exists() or why_refused(job.folder):
            return False
        if not job.record().exists():  # by another command: done, unless files were put there since
            return _changed(job.folder) <= _changed(job.graded)
        record = json.loads(job.record().read_text(encoding="utf-8"))
        return record["digest"] == digest(job.folder) and not record["error"]
    except (OSError, ValueError):
        return False


def _changed(folder: Path) -> float:
    """When something in it was last written, or put there with the time of an older one."""
    return max(p.lstat().st_ctime for p in [folder, *folder.rglob("*")])


def digest(folder: Path) -> str:
    """Of all files of a submission. Links are not followed."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes())
    return found.hexdigest()


# --- many at a time ----------------------------------------------------------------------------------------------


def _executor(workers: int | None, cluster: str | None, most: int) -> Executor:
    if cluster:
        try:
            from distributed import Client

            return Client(cluster, timeout="10s").get_executor()
        except (ImportError, OSError, ValueError) as error:
            raise CourseError(f"No cluster at {cluster}: {error}\nNeeded: pip install -e '.[cluster]'.") from None
    workers = max(1, min(workers or os.cpu_count() or 1, most))
    # Spawned, not forked: this process has threads, and workers must not inherit what they hold.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    if sys.platform.startswith("linux"):
        sandbox.die_with_parent()
        import resource

        from lecture_utils.instructor.grading.kernels import ForkServer

        ForkServer.get()  # imports while this process does
        # A kernel can send faster than one can read. Then this process ends, and not whichever the system chooses.
        for what, most in ((resource.RLIMIT_AS, WORKER_MEMORY), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _work_off(jobs: list[Job], executor: Any) -> list[dict[str, Any]]:
    """All jobs, with a new set of processes whenever one of them dies. A job that is there at two deaths is given up."""
    results, deaths = [], dict.fromkeys(jobs, 0)
    with tqdm(total=len(jobs), unit="submission", disable=not jobs) as bar:
        while jobs:
            # Who was at work when a process died is tried again alone, after the others: it takes nobody with it.
            now = [j for j in jobs if not deaths[j]] or jobs[:1]
            jobs, broken = [j for j in jobs if j not in now], []
            with executor() as pool:
                futures = {pool.submit(grade_one, job): job for job in now}
                for future in as_completed(futures):
                    job = futures[future]
                    try:
                        results.append(future.result())
                    except BrokenProcessPool:
                        broken.append(job)
                        continue
                    except Exception as error:  # a worker of the cluster
                        results.append(_keep(job, f"{type(error).__name__}: {error}", [], 0.0))
                    bar.update()
            to_blame = [j for j in broken if _was_at_work(j)] or broken
            for job in broken:
                deaths[job] += job in to_blame
                if deaths[job] < DEATHS:
                    jobs.append(job)
                else:
                    results.append(_keep(job, "its grading process was ended twice", [], 0.0))
                    bar.update()
    return results


def _was_at_work(job: Job) -> bool:
    return bool(glob.glob(f"{glob.escape(str(_stages(job.root)))}/*/{glob.escape(job.student)}"))


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends this process if what is handed in keeps it computing for too long.

    Time limits are for kernels. Here the system counts, and not Python, which a regular expression does not let work.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, OWN_SECONDS)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


# --- one ---------------------------------------------------------------------------------------------------------


@_bounded()
def grade_one(job: Job) -> dict[str, Any]:
    """Grade one submission in this process; what happened, as plain data. Raises nothing for what a submission does."""
    start, notes, error, log = time.monotonic(), [], "", ""
    stage = _stages(job.root) / _place()
    try:
        if Path(job.root) != ROOT:  # a worker of a cluster: it would grade by other rubrics, with another secret
            raise CourseError(f"this process runs the course in {ROOT}: start it with PYTHONPATH={job.root}")
        api = nbgrader_api(job.root, job.db, job.sandboxed, job.cell_seconds, job.submission_seconds)
        from lecture_utils.instructor.grading.repair import tidy, wanted_cells

        wanted = wanted_cells(api.coursedir.db_url, job.assignment)
        there = sorted(str(p.relative_to(job.folder)) for p in job.folder.rglob("*") if p.is_file())
        notes = tidy(job.folder, wanted)
        if not any((job.folder / f"{name}.ipynb").is_file() for name in wanted):
            raise CourseError(f"there is no notebook of this assignment that can be read, but {', '.join(there[:8])}")
        (stage / job.student).mkdir(parents=True, exist_ok=True)
        api.coursedir.autograded_directory = str(stage.relative_to(job.root))
        for attempt in range(LOCKED_RETRIES):
            _locked.clear()
            result = api.autograde(job.assignment, job.student, force=True)
            if result["success"] or not _locked:
                break
            time.sleep(LOCKED_WAIT * (attempt + 1))
        log = result.get("log", "") + result.get("error", "")
        if result["success"]:
            _replace(job.graded, stage / job.student / job.assignment)
            if job.feedback:
                api.coursedir.autograded_directory = "autograded"
                told = api.generate_feedback(job.assignment, job.student, force=True)
                log += told.get("log", "") + told.get("error", "")
                error = "" if told["success"] else "graded, but its feedback could not be written (see the log)"
        else:
            error = _first_error(log)
    except CourseError as e:
        error = str(e)
    except Exception as e:
        error = f"{type(e).__name__}: {e}"
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return _keep(job, error, notes, time.monotonic() - start, log)


def _keep(job: Job, error: str, notes: list[str], seconds: float, log: str = "") -> dict[str, Any]:
    """Write log and record, the record last and in one piece."""
    error, *notes = map(_printable, (error, *notes))
    record = {"student": job.student, "error": error, "notes": notes, "seconds": round(seconds, 2), "where": _place()}
    try:
        record["digest"] = digest(job.folder)
        job.record().parent.mkdir(parents=True, exist_ok=True)
        job.record("log").write_text(f"{job}\n{log}", encoding="utf-8", errors="replace")
        new = job.record("new")
        new.write_text(json.dumps(record), encoding="utf-8")
        new.replace(job.record())
    except OSError as problem:  # a full disk: the next start does it again
        record["error"] = record["error"] or f"graded, but not recorded: {problem}"
    return record


def _printable(text: str) -> str:
    """Names of files may hold bytes that are no text, and what a terminal takes for commands: those become ?."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _replace(old: Path, new: Path) -> None:
    """Put the folder ``new`` in the place of ``old``; at no moment is half of either there."""
    gone = new.with_name(new.name + ".old")
    old.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        old.rename(gone)
    new.rename(old)


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "Error" in line and not line.startswith("[ERROR] There was")]
    return (lines or log.strip().splitlines() or ["failed without a word"])[-1].strip()[:200]


_locked: list[sqlite3.Error] = []  # what SQLite said since it was cleared


def _remember_if_locked(context: Any) -> None:
    error = context.original_exception
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        _locked.append(error)


@cache
def nbgrader_api(
    root: str, db: str | None, sandboxed: bool = True, cell_seconds: int = 60, submission_seconds: int = 600
) -> Any:
    """nbgrader, with the configuration of the course in ``root``. Made once per process and settings."""
    os.environ["PATH"] = tools()["PATH"]  # nbgrader calls alembic by name
    from nbgrader.apps.api import NbGraderAPI
    from sqlalchemy import Engine, event, make_url
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=root).load_config()
    config.Observe.update(sandboxed=sandboxed, timeout=cell_seconds, submission_seconds=submission_seconds)
    config.Autograde.pre_convert_hook = None  # grade_one has done that, and keeps what it was told
    if db:
        config.CourseDirectory.db_url = db
    event.listen(Engine, "handle_error", _remember_if_locked)
    api = NbGraderAPI(config=config)
    url = make_url(api.coursedir.db_url)
    if url.get_backend_name() == "sqlite" and "timeout" not in url.query:
        url = url.update_query_dict({"timeout": str(SQLITE_PATIENCE)})
        api.coursedir.db_url = url.render_as_string(hide_password=False)
    return api


@contextmanager
def open_gradebook(root: Path, db: str | None) -> Iterator[Any]:
    """nbgrader's ``Gradebook`` of the course in ``root``. Raises ``CourseError`` when it cannot be reached."""
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    try:
        gradebook = Gradebook(nbgrader_api(str(root), db).coursedir.db_url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        where = "that --db names" if db else f"in {root}"  # the name itself may hold a password
        raise CourseError(
            f"The gradebook {where} cannot be opened: {getattr(error, 'orig', None) or error}\n"
            "Nothing is lost: start the same command again when it can."
        ) from None
    with gradebook:
        yield gradebook


def _prepare(assignment: str, db: str | None) -> set[str]:
    """See to it that the gradebook knows the assignment as it is now. The names of all that it knows."""
    from lecture_utils.instructor.authoring import build
    from lecture_utils.instructor.grading import score

    score.secret()  # before several workers make it at once
    for name in score.exercises():
        score.public(name)
    now = {(e.notebook, e.name, e.points) for e in score.exercises().values()}
    with open_gradebook(ROOT, db) as gradebook:
        known = {a.name: a.notebooks for a in gradebook.assignments}
        cells = {(n.name, cell.name, cell.max_score) for n in known.get(assignment, []) for cell in n.grade_cells}
    if assignment == ASSIGNMENT and not now <= cells:
        build.register(nbgrader_api(str(ROOT), db))
    return set(known)


def _place() -> str:
    """This process, among all that grade."""
    return f"{platform.node()}-{os.getpid()}"


def _stages(root: str | Path) -> Path:
    return Path(root, "autograded", ".staging")
