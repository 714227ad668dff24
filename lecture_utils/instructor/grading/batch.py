"""`grade`: nbgrader's own autograding, many submissions at a time, that can be killed at any moment and started again.

A submission is graded in a folder of its own and moved into ``autograded/`` when it is complete. A record of it in
``autograded/.records/`` comes last: what has one, for the very files that were handed in, is done.
This process imports nothing heavy: it hands out work, and writes down what became of it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course, course_in
from lecture_utils.instructor.grading import sandbox, server
from lecture_utils.instructor.grading.folder import digest, printable, why_refused
from lecture_utils.instructor.grading.limits import address_space, lower

FEEDBACK = "lecture_utils.instructor.reporting.feedback:write"  # reporting stands above grading: a name, no import
PRELOAD = "lecture_utils.instructor.grading.preload"
SPARE_SECONDS = 120  # for what is not running a submission's code: reading, comparing, writing
LEAST_MEMORY = 3 * 2**30  # bytes of address space for a worker, whatever the machine has


@dataclass(frozen=True)
class Job:
    """One submission, and how to grade it. Plain data: it travels to other processes and machines.

    ``feedback`` names what is called with the course and the student when all is graded, as "module:function".
    """

    student: str
    root: str
    assignment: str
    db: str | None = field(default=None, repr=False)  # may hold a password
    sandboxed: bool = True
    cell_seconds: int = 60
    submission_seconds: int = 600
    feedback: str = ""

    @property
    def course(self) -> Course:
        return course_in(self.root, self.db, self.assignment)


@dataclass
class Record:
    """What became of one submission. ``problems`` are notebooks that could not be used, and why."""

    student: str
    error: str = ""
    notes: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    where: str = ""
    digest: str = ""


def grade(course: Course, student: str = "*", force: bool = False, workers: int | None = None,
          cluster: str | None = None, **settings: Any) -> int:  # fmt: skip
    """Grade ``submitted/STUDENT/ASSIGNMENT``; 0 if all went well, 1 if a submission could not be graded.

    ``student`` is a glob pattern, ``cluster`` the address of a Dask scheduler whose workers see this folder under the
    same path; ``settings`` are fields of ``Job``. Raises ``CourseError``.
    """
    found = [p.name for p in sorted((course.root / "submitted").glob(student)) if p.is_dir() or p.is_symlink()]
    if not any(os.path.lexists(course.submitted(name)) for name in found):
        raise CourseError(
            f"Nothing matches submitted/{student}/{course.assignment}/ in {course.root}. "
            f"Put each student's notebooks into submitted/STUDENT/{course.assignment}/."
        )
    if not settings.get("sandboxed", True):
        print("Warning: without the sandbox a submission can do whatever you can.", file=sys.stderr)
    used = [module for module in [settings.get("feedback", "").partition(":")[0]] if module]
    with _exclusive_lock(course), _pool(workers, cluster, len(found), used) as submit:
        if settings.get("sandboxed", True) and (reason := sandbox.why_not(course.root)):
            raise CourseError(f"{reason}\nOnly for code that you would run yourself: --unsandboxed.")
        shutil.rmtree(_stages(course), ignore_errors=True)
        others = submit(prepare, course).result() - {course.assignment}
        # A folder without this assignment is told of, unless it is our own or holds another assignment.
        names = [name for name in found if os.path.lexists(course.submitted(name))
                 or not (name.startswith(".") or any((course.root / "submitted" / name / o).is_dir() for o in others))]  # fmt: skip
        jobs = [Job(name, str(course.root), course.assignment, course.db, **settings) for name in names]
        todo = [job for job in jobs if force or not is_done(course, job.student)]
        print(f"{len(jobs)} submissions, {len(jobs) - len(todo)} graded already")
        records = _work_off(todo, submit)
        shutil.rmtree(_stages(course), ignore_errors=True)  # of those whose process was ended
    return _tell(course, records)


def _tell(course: Course, records: list[Record]) -> int:
    failed = [record for record in records if record.error]
    for record in sorted(records, key=lambda record: record.student):
        if told := [record.error] * bool(record.error) + record.notes:
            print(f"  {printable(record.student):20} {'; '.join(told)}")
    if records:
        print(f"{len(records) - len(failed)} graded, {len(failed)} failed; logs: {course.records}")
    return 1 if failed else 0


def prepare(course: Course) -> set[str]:
    """In a worker, before the first submission: hidden cases and gradebook. The assignments that the gradebook knows."""
    from lecture_utils.instructor.grading import gradebook, hidden  # heavy

    hidden.prepare(course)
    return gradebook.register(course)


@contextmanager
def _exclusive_lock(course: Course) -> Iterator[None]:
    """Nobody else grades in this folder meanwhile. The lock ends with the process, however that ends."""
    (course.root / "autograded").mkdir(exist_ok=True)
    try:
        with FileLock(course.root / "autograded" / ".lock", timeout=0):
            yield
    except Timeout:
        raise CourseError("Another `grade` is at work in this folder. Wait until it has ended.") from None


def is_done(course: Course, student: str) -> bool:
    """Whether these very files were graded to the end, by `grade` or by another nbgrader command."""
    handed_in, graded = course.submitted(student), course.autograded(student)
    record = course.records / f"{student}.json"
    try:
        if not graded.exists() or why_refused(handed_in):
            return False
        if not record.exists():  # by another command: done, unless files were put there since
            return _changed(handed_in) <= _changed(graded)
        kept = json.loads(record.read_text(encoding="utf-8"))
        return kept["digest"] == digest(handed_in) and not kept["error"]
    except (OSError, ValueError, KeyError):
        return False


def _changed(folder: Path) -> float:
    """When something in it was last written, or put there with the time of an older one."""
    return max(path.lstat().st_ctime for path in [folder, *folder.iterdir()])


# --- many at a time ----------------------------------------------------------------------------------------------


@contextmanager
def _pool(workers: int | None, cluster: str | None, most: int, used: list[str]) -> Iterator[Callable[..., Future]]:
    """``submit(function, argument, seconds=None)``, which has it done elsewhere: on this machine, or by a cluster."""
    if cluster:
        try:
            from distributed import Client  # an extra

            client = Client(cluster, timeout="10s")
        except (ImportError, OSError, ValueError) as error:
            raise CourseError(f"No cluster at {cluster}: {error}\nNeeded: pip install -e '.[cluster]'.") from None
        with client, client.get_executor() as executor:
            yield lambda function, argument, seconds=None: executor.submit(function, argument)
        return
    from pebble import ProcessPool  # not for workers of a cluster

    many = max(1, min(workers or os.cpu_count() or 1, most))
    context = _context(used)
    with server.running() as address, ProcessPool(
        many, initializer=_start_worker, initargs=(address, many), context=context
    ) as pool:  # fmt: skip
        try:
            yield lambda function, argument, seconds=None: pool.schedule(function, [argument], timeout=seconds)
        except BaseException:
            pool.stop()
            raise


def _context(used: list[str]) -> Any:
    """Workers are forked from one process that has imported everything; where there is no fork, each begins anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD, *used])
    return context


def _start_worker(address: str, workers: int) -> None:
    server.use(address)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    if sys.platform.startswith("linux"):
        # A kernel can send faster than one can read. Then this process ends, and not whichever the system chooses.
        share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // workers
        lower(AS=address_space() + max(LEAST_MEMORY, share), CORE=0)


def _work_off(jobs: list[Job], submit: Callable[..., Future]) -> list[Record]:
    """All jobs. One whose process is ended by somebody is tried once more."""
    records, again = [], []
    with tqdm(total=len(jobs), unit="submission", disable=not jobs) as bar:
        for tried, now in enumerate((jobs, again)):
            futures = {submit(grade_one, job, job.submission_seconds + SPARE_SECONDS): job for job in now}
            for future in as_completed(futures):
                job = futures[future]
                try:
                    records.append(future.result())
                except Exception as error:  # its process was ended, by its time limit or by somebody, or a cluster's
                    if not tried and type(error).__name__ == "ProcessExpired":
                        again.append(job)
                        continue
                    records.append(_keep(job.course, Record(job.student, _why_ended(job, error))))
                bar.update()
    return records


def _why_ended(job: Job, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it was not graded in {job.submission_seconds + SPARE_SECONDS} seconds"
    if type(error).__name__ == "ProcessExpired":
        return "its grading process was ended twice"
    return f"{type(error).__name__}: {error}"


# --- one ---------------------------------------------------------------------------------------------------------


def grade_one(job: Job) -> Record:
    """Grade one submission in this process. Raises nothing for what a submission does."""
    start, record, log = time.monotonic(), Record(job.student), ""
    stage = _stages(job.course) / _here()
    try:
        log = _graded(job, stage, record)
    except CourseError as error:
        record.error = str(error)
    except Exception as error:
        record.error = f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    record.seconds = round(time.monotonic() - start, 2)
    _give_feedback(job, record)
    return _keep(job.course, record, log)


def _graded(job: Job, stage: Path, record: Record) -> str:
    """nbgrader's log. What was found goes into ``record``; what is complete, into ``autograded/``."""
    from lecture_utils.instructor.grading.gradebook import nbgrader_api  # heavy, both
    from lecture_utils.instructor.grading.intake import taken

    course, student = job.course, job.student
    api = nbgrader_api(course, job.sandboxed, job.cell_seconds, job.submission_seconds)
    believed = bool(api.config.Intake.get("timestamps", False))
    found = taken(course, student, stage / "submitted" / student / course.assignment, believed)
    record.notes, record.problems = list(found.notes), dict(found.problems)
    if not found.notebooks:
        raise CourseError(found.error)
    api.coursedir.submitted_directory = str((stage / "submitted").relative_to(course.root))
    api.coursedir.autograded_directory = str((stage / "autograded").relative_to(course.root))
    result = api.autograde(course.assignment, student, force=True)
    log = result.get("log", "") + result.get("error", "")
    if not result["success"]:
        record.error = _first_error(log)
        return log
    _replace(course.autograded(student), stage / "autograded" / student / course.assignment)
    return log


def _give_feedback(job: Job, record: Record) -> None:
    """To everybody: who could not be graded is told why."""
    module, _, function = job.feedback.partition(":")
    try:
        if module:
            getattr(import_module(module), function)(job.course, job.student, told=asdict(record))
    except Exception as error:
        problem = f"its feedback could not be written ({type(error).__name__}: {error})"
        record.error = "; ".join(filter(None, [record.error, problem]))


def _keep(course: Course, record: Record, log: str = "") -> Record:
    """Write log and record, the record last and in one piece."""
    record.error, record.notes = printable(record.error), [*map(printable, record.notes)]
    record.where = _here()
    file = course.records / f"{record.student}.json"
    try:
        record.digest = digest(course.submitted(record.student))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".log").write_text(log, encoding="utf-8", errors="replace")
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(record)), encoding="utf-8")
        new.replace(file)
    except OSError as problem:  # a full disk: the next start does it again
        record.error = record.error or f"graded, but not recorded: {problem}"
    return record


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


def _here() -> str:
    """This process, among all that grade."""
    return f"{platform.node()}-{os.getpid()}"


def _stages(course: Course) -> Path:
    return course.root / "autograded" / ".staging"
