"""Grading many: resumed after any kind of death, never twice, never half; late and manual grades; plain nbgrader."""

import glob
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import nbformat
import psutil
import pytest
from conftest import needs
from course import copy_course, grade, points, run, scores, submit
from filelock import FileLock
from nbgrader.api import Gradebook

from lecture_utils.environment import CourseError, tools
from lecture_utils.instructor.authoring.course import Course, course_in
from lecture_utils.instructor.grading import batch
from lecture_utils.instructor.grading.gradebook import open_gradebook, register
from lecture_utils.instructor.grading.observe import Observe

STUDENTS = [f"s{k}" for k in range(4)]
WRONG = {"gradient_step-answer": "def gradient_step(w, grad, lr):\n    return w + lr * grad"}
# A batch in a process of its own, in the folder where it is started.
GRADE = """
import sys
from pathlib import Path
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading import batch
if __name__ == "__main__":
    sys.exit(batch.grade(Course(Path.cwd()), force="--force" in sys.argv, workers=2))
"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course with four students, and one who handed in nothing that can be read: what every troubled run must come to."""
    needs("libseccomp", "sandbox")
    course = copy_course(tmp_path_factory.mktemp("batch") / "course", "00", "05")
    for k, student in enumerate(STUDENTS):
        # Long enough for a kernel to be seen at work.
        submit(course, student, WRONG if k % 2 else {}, after={"gradient_step": ["import time\ntime.sleep(1)"]})
    for path in submit(course, "broken").glob("*.ipynb"):
        path.write_text("{")
    assert grade(course) == 1
    assert {s: p for s, (p, _) in scores(course).items() if s != "broken"} == {
        s: 10.0 - k % 2 for k, s in enumerate(STUDENTS)
    }
    shutil.rmtree(course / "submitted" / "broken")
    return course


@pytest.fixture
def course(graded, tmp_path):
    """The same course, not graded yet."""
    copy = tmp_path / "course"
    shutil.copytree(graded, copy, ignore=shutil.ignore_patterns("autograded", "gradebook.db*"))
    return copy


def start(course, *options):
    """A batch at work."""
    command = [sys.executable, "-W", "ignore", "-c", GRADE, *options]
    return subprocess.Popen(command, cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=tools())


def test_what_was_graded_is_done_until_something_else_is_handed_in(graded):
    of = course_in(str(graded))
    assert all(batch.is_done(of, student) for student in STUDENTS)
    path = of.submitted("s1") / "00_start_here.ipynb"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"cells"', b' "cells"'))
    assert not batch.is_done(of, "s1")
    path.write_bytes(before)
    assert batch.is_done(of, "s1")


def test_what_another_command_graded_is_done_until_files_are_put_there(graded, tmp_path):
    of = Course(tmp_path)
    for folder in (of.submitted("s2"), of.autograded("s2")):
        shutil.copytree(graded / "submitted" / "s2" / "lecture12", folder)
    assert batch.is_done(of, "s2")
    shutil.copy2(graded / "submitted" / "s1" / "lecture12" / "00_start_here.ipynb", of.submitted("s2"))  # an older time
    assert not batch.is_done(of, "s2")


def test_the_records_say_what_was_graded_and_what_could_not_be(graded):
    records = {p.stem: json.loads(p.read_text()) for p in course_in(str(graded)).records.glob("*.json")}
    assert (records["s2"]["error"], records["s2"]["notes"]) == ("", [])
    assert records["s2"]["digest"] == batch.digest(graded / "submitted" / "s2" / "lecture12")
    assert "no notebook of this assignment that can be read" in records["broken"]["error"]


def test_an_exercise_that_changed_since_reaches_the_gradebook(graded):
    of = course_in(str(graded))
    with open_gradebook(of) as gradebook:
        gradebook.find_grade_cell("rmsprop_step", "05_gains_and_rmsprop", "lecture12").max_score = 7
        gradebook.db.commit()
    register(of)
    with open_gradebook(of) as gradebook:
        assert gradebook.find_grade_cell("rmsprop_step", "05_gains_and_rmsprop", "lecture12").max_score == 3


def test_the_time_of_a_submission_is_that_of_its_notebooks_in_this_grading(monkeypatch):
    monkeypatch.setattr(Observe, "_spent", {})
    for notebook, seconds in {"00": 5, "01": 3}.items():
        Observe.spend("s0", "lecture12", notebook, seconds)
    assert Observe.seconds_before("s0", "lecture12", "02") == 8
    assert Observe.seconds_before("s1", "lecture12", "02") == 0
    assert Observe.seconds_before("s0", "lecture12", "00") == 0  # graded anew, from its first notebook on


def test_two_batches_in_one_folder_do_not_meet(graded):
    with FileLock(graded / "autograded" / ".lock"), pytest.raises(CourseError, match="Another `grade` is at work"):
        grade(graded)


def test_without_submissions_it_is_said_where_they_belong(graded):
    with pytest.raises(CourseError, match="submitted/STUDENT/lecture13"):
        batch.grade(Course(graded, assignment="lecture13"))


# --- killed, or without what it needs ------------------------------------------------------------------------------------


def family(pid):
    """A process and all that come from it, in the order of descent."""
    try:
        return [parent := psutil.Process(pid), *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def victim(processes, kind):
    """A process of the running batch: its parent, a worker, the fork server, or a kernel."""
    if kind == "parent":
        return processes[0]
    mark = "multiprocessing.forkserver" if kind == "worker" else "grading.forkserver"
    try:
        server = next(p for p in processes if mark in " ".join(p.cmdline()))
        found = {"worker": server.children(), "server": [server], "kernel": server.children(recursive=True)[1:]}[kind]
        return found[0] if found else None
    except (psutil.NoSuchProcess, StopIteration):
        return None


@pytest.mark.parametrize("kind", ["parent", "worker", "server", "kernel"])
def test_after_a_kill_nothing_is_lost_doubled_or_half(course, graded, kind):
    batch_run = start(course)
    of, deadline = Course(course), time.monotonic() + 240
    while batch_run.poll() is None and time.monotonic() < deadline:
        under_way = glob.glob(f"{course}/autograded/.staging/*/*/*") or any(of.records.glob("*.json"))
        if under_way and (found := victim(processes := family(batch_run.pid), kind)):
            found.kill()
            break
    else:
        pytest.fail(f"no {kind} was seen at work")
    batch_run.wait(240)
    _, left = psutil.wait_procs(processes, timeout=60)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    for notebook in (course / "autograded").glob("s*/lecture12/*.ipynb"):
        assert nbformat.read(notebook, as_version=4).metadata.lecture_utils  # scored to the end
    assert grade(course) == 0
    assert {s: p for s, p in points(course).items()} == {s: p for s, p in points(graded).items() if s in STUDENTS}
    assert not list((course / "autograded" / ".staging").glob("*/*"))


def test_a_full_disk_loses_nothing(course, graded):
    """The folder for what is graded is on a disk of 100 kB, until somebody makes room."""
    needs("root")
    small = course / "autograded"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("not tested: a full disk. Mounting is not allowed here.")
    try:
        assert grade(course) == 1
        errors = [json.loads(p.read_text())["error"] for p in Course(course).records.glob("*.json")]
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    assert any("No space left" in error for error in errors), errors
    assert grade(course) == 0
    assert points(course) == {s: p for s, p in points(graded).items() if s in STUDENTS}


def test_a_locked_database_is_waited_for(graded):
    with closing(sqlite3.connect(graded / "gradebook.db", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        found, about_to_write = [], threading.Event()

        def write():
            about_to_write.set()
            with open_gradebook(course_in(str(graded))) as gradebook:
                found.extend(s.id for s in gradebook.students)

        writing = threading.Thread(target=write)
        writing.start()
        about_to_write.wait()
        writing.join(6)  # Python's own patience of 5 seconds would have ended
        assert writing.is_alive()
        lock.execute("ROLLBACK")
        writing.join(60)
    assert set(STUDENTS) <= set(found)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///{0}/no/such/folder/gradebook.db", "unable to open database file"),
        ("postgresql+psycopg2://nobody:secret@127.0.0.1:1/grades", "Connection refused"),
        ("grades.db", "Could not parse SQLAlchemy URL"),
        ("postgresql://nobody:secret@host:port/grades", "'port'"),
        ("nosuchdb://host/grades", "Can't load plugin"),
    ],
)
def test_a_gradebook_that_cannot_be_opened_is_a_sentence(graded, url, why):
    of = Course(graded, url.format(graded))
    with (
        pytest.raises(CourseError, match="(?s)that --db names cannot be opened.*Nothing is lost") as refused,
        open_gradebook(of),
    ):
        pass
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)


# --- with nbgrader's own ways ----------------------------------------------------------------------------------------------


def test_manual_grades_survive_regrading_and_a_time_that_the_student_wrote_is_not_believed(graded, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(graded, course)
    (course / "submitted" / "s0" / "lecture12" / "timestamp.txt").write_text("2026-01-03 12:00:00 UTC")
    url = f"sqlite:///{course}/gradebook.db"
    with Gradebook(url) as gradebook:
        gradebook.update_or_create_assignment("lecture12", duedate="2026-01-02 12:00:00 UTC")
        gradebook.find_grade("rmsprop_step", "05_gains_and_rmsprop", "lecture12", "s0").manual_score = 1.5
        gradebook.db.commit()
    assert grade(course, force=True) == 0
    with Gradebook(url) as gradebook:
        submission = gradebook.find_submission("lecture12", "s0")
        kept = gradebook.find_grade("rmsprop_step", "05_gains_and_rmsprop", "lecture12", "s0")
        assert (kept.manual_score, kept.auto_score, kept.score) == (1.5, 3.0, 1.5)
        assert submission.timestamp is None
        assert submission.score == 10 - 1.5


def test_plain_nbgrader_gives_the_same_scores(graded, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(graded, course, ignore=shutil.ignore_patterns("autograded"))
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        for submission in gradebook.assignment_submissions("lecture12"):
            gradebook.remove_submission("lecture12", submission.student.id)
    run(course, "nbgrader", "autograde", "lecture12")
    assert points(course) == {s: p for s, p in points(graded).items() if s in STUDENTS}


def test_without_the_sandbox_there_is_a_warning_and_the_same_grades(course, capsys):
    assert grade(course, student="s0", sandboxed=False) == 0
    assert "without the sandbox a submission can do whatever you can" in capsys.readouterr().err
    assert scores(course)["s0"][0] == 10.0
