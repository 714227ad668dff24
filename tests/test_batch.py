"""Grading many: resumed after any kind of death, never twice, never half; PostgreSQL, a cluster, late and manual grades."""

import fcntl
import glob
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import nbformat
import psutil
import pytest
from course import copy_course, run, scores, submit
from nbgrader.api import Gradebook

from lecture_utils.environment import CourseError, tools
from lecture_utils.instructor.grading import batch
from lecture_utils.instructor.grading.observe import Observe

STUDENTS = [f"s{k}" for k in range(4)]
WRONG = {"gradient_step-answer": "def gradient_step(w, grad, lr):\n    return w + lr * grad"}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course with four students, graded without any trouble: what every troubled run must come to."""
    course = copy_course(tmp_path_factory.mktemp("batch") / "course", "00", "05")
    for k, student in enumerate(STUDENTS):
        submit(course, student, WRONG if k % 2 else {})
    done = run(course, "lecture_utils", "grade", "--no-feedback")
    assert "4 graded, 0 failed" in done.stdout
    assert {s[0] for s in scores(course).values()} == {9.0, 10.0}
    return course


@pytest.fixture
def course(graded, tmp_path):
    """The same course, not graded yet."""
    copy = tmp_path / "course"
    shutil.copytree(graded, copy, ignore=shutil.ignore_patterns("autograded", "gradebook.db*", "grades.csv"))
    return copy


def test_what_is_done_is_skipped_and_what_was_handed_in_again_is_not(graded):
    assert "4 graded already" in run(graded, "lecture_utils", "grade", "--no-feedback").stdout
    path = graded / "submitted" / "s1" / "lecture12" / "00_start_here.ipynb"
    before = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("one more word"))
    nbformat.write(notebook, path)
    assert "3 graded already" in run(graded, "lecture_utils", "grade", "--no-feedback").stdout
    path.write_bytes(before)
    assert "3 graded already" in run(graded, "lecture_utils", "grade", "--no-feedback").stdout


def test_an_exercise_that_changed_since_reaches_the_gradebook(graded):
    with Gradebook(url := f"sqlite:///{graded}/gradebook.db") as gradebook:
        gradebook.find_grade_cell("rmsprop_step", "05_gains_and_rmsprop", "lecture12").max_score = 7
        gradebook.db.commit()
    run(graded, "lecture_utils", "grade", "--no-feedback")
    with Gradebook(url) as gradebook:
        assert gradebook.find_grade_cell("rmsprop_step", "05_gains_and_rmsprop", "lecture12").max_score == 3


def test_what_another_command_graded_is_done_until_files_are_put_there(graded, tmp_path):
    job = batch.Job("s2", "lecture12", root=str(tmp_path))
    for folder in (job.folder, job.graded):
        shutil.copytree(graded / "submitted" / "s2" / "lecture12", folder)
    assert batch.is_done(job)
    shutil.copy2(graded / "submitted" / "s1" / "lecture12" / "00_start_here.ipynb", job.folder)  # with its old time
    assert not batch.is_done(job)


def test_the_time_of_a_submission_is_that_of_its_notebooks_in_this_grading(monkeypatch):
    monkeypatch.setattr(Observe, "_spent", {})
    for notebook, seconds in {"00": 5, "01": 3}.items():
        Observe.spend("s0", "lecture12", notebook, seconds)
    assert Observe.seconds_before("s0", "lecture12", "02") == 8
    assert Observe.seconds_before("s1", "lecture12", "02") == 0
    assert Observe.seconds_before("s0", "lecture12", "00") == 0  # graded anew, from its first notebook on


def test_a_grading_process_that_computes_for_ever_is_ended_even_inside_an_expression():
    code = "import re; from lecture_utils.instructor.grading import batch; batch.OWN_SECONDS = 0.2\n"
    code += "with batch._bounded(): re.match('(a+)+$', 'a' * 50 + 'b')"
    done = subprocess.run([sys.executable, "-c", code], env=tools(), timeout=60)
    assert done.returncode == -signal.SIGVTALRM


def test_two_batches_in_one_folder_do_not_meet(graded):
    with (graded / "autograded" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        second = run(graded, "lecture_utils", "grade", check=False)
    assert second.returncode == 1
    assert "Another `grade` is at work" in second.stderr


def family(pid):
    """A process and all that come from it, in the order of descent."""
    try:
        return [parent := psutil.Process(pid), *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def victim(processes, kind):
    """A process of the running batch: its parent, a worker, the fork server of one, or a kernel."""
    if kind == "parent":
        return processes[0]
    mark = "spawn_main" if kind == "worker" else "grading.forkserver"
    try:
        marked = [p for p in processes if mark in " ".join(p.cmdline())]
        if kind == "kernel":  # the server's grandchild
            marked = [k for server in marked for k in server.children(recursive=True)[1:]]
        return marked[0] if marked else None
    except psutil.NoSuchProcess:
        return None


@pytest.mark.parametrize("kind", ["parent", "worker", "server", "kernel"])
def test_after_a_kill_nothing_is_lost_doubled_or_half(course, graded, kind):
    command = [sys.executable, "-W", "ignore", "-m", "lecture_utils", "grade", "--no-feedback"]
    batch_run = subprocess.Popen(command, cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=tools())
    records = course / "autograded" / ".records" / "lecture12"
    deadline = time.monotonic() + 240
    while batch_run.poll() is None and time.monotonic() < deadline:
        under_way = glob.glob(f"{course}/autograded/.staging/*/*/lecture12") and list(records.glob("*.json"))
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
    done = run(course, "lecture_utils", "grade", "--no-feedback")
    assert " 0 failed" in done.stdout or "4 graded already" in done.stdout
    assert scores(course) == scores(graded)
    assert not list((course / "autograded" / ".staging").glob("*/*"))


def test_a_locked_database_is_waited_for(course, graded):
    run(course, "lecture_utils", "grade", "--no-feedback", "--student", "s0")
    lock = sqlite3.connect(course / "gradebook.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    command = [sys.executable, "-W", "ignore", "-m", "lecture_utils", "grade", "--no-feedback"]
    waiting = subprocess.Popen(
        command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=tools()
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(12)  # it starts within a few seconds; Python's own patience of 5 would have ended
    lock.execute("ROLLBACK")
    lock.close()
    said, _ = waiting.communicate(timeout=240)
    assert "3 graded, 0 failed" in said
    assert scores(course) == scores(graded)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///{0}/gradebook.db?timeout=0.1", "database is locked"),
        ("sqlite:///{0}/no/such/folder/gradebook.db", "unable to open database file"),
        ("postgresql+psycopg2://nobody:secret@127.0.0.1:1/grades", "Connection refused"),
        ("grades.db", "Could not parse SQLAlchemy URL"),
        ("postgresql://nobody:secret@host:port/grades", "'port'"),
        ("nosuchdb://host/grades", "Can't load plugin"),
    ],
)
def test_a_gradebook_that_cannot_be_opened_is_a_sentence(graded, url, why):
    with closing(sqlite3.connect(graded / "gradebook.db", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(CourseError, match="(?s)that --db names cannot be opened.*Nothing is lost") as refused,
            batch.open_gradebook(graded, url.format(graded)),
        ):
            pass
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("command", ["grade", "report"])
def test_a_command_without_its_gradebook_says_so(graded, command):
    refused = run(graded, "lecture_utils", command, "--db", "postgresql+psycopg2://127.0.0.1:1/grades", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The gradebook that --db names cannot be opened: ")


def test_a_full_disk_loses_nothing(course, graded, monkeypatch):
    """The folder for what is graded is on a disk of 100 kB, until somebody makes room."""
    small = course / "autograded"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        full = run(course, "lecture_utils", "grade", "--no-feedback", check=False)
        assert full.returncode == 1
        assert "No space left" in full.stdout
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    run(course, "lecture_utils", "grade", "--no-feedback")
    assert scores(course) == scores(graded)


def test_manual_grades_and_late_penalties_survive_regrading(course):
    folder = course / "submitted" / "s0" / "lecture12"
    (folder / "timestamp.txt").write_text("2026-01-03 12:00:00 UTC")
    plugin = "from nbgrader.plugins import BasePlugin\n\nclass Fixed(BasePlugin):\n    def late_submission_penalty(self, *_):\n        return 2.0\n"
    (course / "late_plugin.py").write_text(plugin)
    with (course / "nbgrader_config.py").open("a") as config:
        config.write('\nc.AssignLatePenalties.plugin_class = "late_plugin.Fixed"\n')
    run(course, "lecture_utils", "grade", "--no-feedback", "--student", "s0")
    url = f"sqlite:///{course}/gradebook.db"
    with Gradebook(url) as gradebook:
        gradebook.update_or_create_assignment("lecture12", duedate="2026-01-02 12:00:00 UTC")
        gradebook.find_grade("rmsprop_step", "05_gains_and_rmsprop", "lecture12", "s0").manual_score = 1.5
        gradebook.db.commit()
    run(course, "lecture_utils", "grade", "--no-feedback", "--student", "s0", "--force")
    with Gradebook(url) as gradebook:
        submission = gradebook.find_submission("lecture12", "s0")
        grade = gradebook.find_grade("rmsprop_step", "05_gains_and_rmsprop", "lecture12", "s0")
        assert (grade.manual_score, grade.auto_score, grade.score) == (1.5, 3.0, 1.5)
        assert submission.late_submission_penalty == 3.0  # 2 of a notebook, at most its points: 1 + 2
        assert submission.score == 10 - 1.5


def test_a_submission_without_a_readable_notebook_is_told_so(course):
    for path in (course / "submitted" / "s0" / "lecture12").glob("*.ipynb"):
        path.write_text("{")
    told = run(course, "lecture_utils", "grade", "--no-feedback", "--student", "s0", check=False)
    assert told.returncode == 1
    assert "there is no notebook of this assignment that can be read" in told.stdout


def test_plain_nbgrader_gives_the_same_scores(course, graded):
    run(course, "lecture_utils", "grade", "--no-feedback", "--student", "s0")
    run(course, "nbgrader", "autograde", "lecture12")
    assert scores(course) == scores(graded)
    kinds = [
        c.metadata.lecture_utils.kind
        for c in checks(course / "autograded" / "s1" / "lecture12" / "00_start_here.ipynb")
    ]
    assert kinds == ["misconception"]


def checks(path):
    return [c for c in nbformat.read(path, as_version=4).cells if "lecture_utils" in c.metadata]


def test_the_records_say_what_was_graded(graded):
    record = json.loads((graded / "autograded" / ".records" / "lecture12" / "s2.json").read_text())
    job = batch.Job("s2", "lecture12", root=str(graded))
    assert record["digest"] == batch.digest(job.folder)
    assert (record["error"], record["notes"]) == ("", [])
    assert batch.is_done(job)
