"""Scale-out with the real things: a PostgreSQL server and a Dask cluster of separate worker processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest
from conftest import needs
from course import copy_course, grade, scores, submit

from lecture_utils.environment import CourseError, tools
from lecture_utils.instructor.authoring.course import course_in

WRONG = {"gradient_step-answer": "def gradient_step(w, grad, lr):\n    return w + lr * grad"}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    needs("libseccomp", "sandbox")
    course = copy_course(tmp_path_factory.mktemp("cluster") / "course", "00")
    for k in range(6):
        submit(course, f"s{k}", WRONG if k % 2 else {})
    assert grade(course) == 0
    return course


@pytest.fixture(scope="module")
def postgresql():
    """The URL of an empty database on a server of our own."""
    programs = needs("postgresql")
    # Not in pytest's folder: each start of pytest closes that to other users, and the server refuses to run as root.
    with tempfile.TemporaryDirectory() as folder:
        as_whom = []
        if os.geteuid() == 0:
            import pwd  # not there on Windows

            user = pwd.getpwnam("postgres")
            as_whom = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, port = f"{folder}/data", free_port()
        call = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        subprocess.run([*as_whom, f"{programs}/initdb", "-D", data, "-U", "course", "-A", "trust", "--no-sync"], **call)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [*as_whom, f"{programs}/pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-l", f"{folder}/log", "-o", options, "start"], **call)
        try:
            yield f"postgresql+psycopg2://course@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **call)


@pytest.fixture(scope="module")
def dask(course, tmp_path_factory):
    """The address of a scheduler with two worker processes, started by Dask's own commands."""
    folder, port = tmp_path_factory.mktemp("dask"), free_port()
    address, programs = f"tcp://127.0.0.1:{port}", []
    start = [sys.executable, "-W", "ignore", "-m", "distributed.cli"]
    with (folder / "log").open("w") as log:
        quiet = {"cwd": folder, "stdout": log, "stderr": log, "env": {**tools(), "PYTHONPATH": str(course)}}
        scheduler = [
            *start[:-1],
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-dashboard",
        ]
        programs.append(subprocess.Popen(scheduler, **quiet))
        worker = [*start[:-1], "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
        programs += [subprocess.Popen([*worker, "--name", f"w{k}"], **quiet) for k in range(2)]
        try:
            from distributed import Client

            with Client(address, timeout="60s") as client:
                client.wait_for_workers(2, timeout=60)
            yield address
        finally:
            for program in reversed(programs):
                program.terminate()
            for program in programs:
                program.wait(30)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def records(course):
    return [json.loads(p.read_text()) for p in course_in(str(course)).records.glob("*.json")]


def test_a_postgresql_gradebook_holds_the_same_grades(course, postgresql):
    assert grade(course, postgresql, force=True) == 0
    assert scores(course, postgresql) == scores(course)


def test_a_dask_cluster_gives_the_same_grades(course, postgresql, dask):
    shutil.rmtree(course / "autograded")
    assert grade(course, postgresql, cluster=dask) == 0
    assert scores(course, postgresql) == scores(course)
    assert len({record["where"] for record in records(course)}) == 2  # both workers had a share


def test_a_cluster_that_is_not_there_is_said_so(course):
    with pytest.raises(CourseError, match="No cluster at tcp://"):
        grade(course, cluster=f"tcp://127.0.0.1:{free_port()}", force=True)
