"""What all tests share: the rubrics, the checks.json that is in the course, and the parts that may be missing."""

import glob
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from ctypes.util import find_library
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from lecture_utils.environment import ROOT
from lecture_utils.instructor.authoring.record import load_rubrics
from lecture_utils.instructor.grading import sandbox, server

SOURCE = ROOT / "source" / "lecture12"
RUBRICS = SOURCE / "rubrics"
EXERCISES = load_rubrics(RUBRICS)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


# Files that take longest begin first: two workers then end at about the same time.
SLOW = "rubrics attacks release batch build demo checks instructor_path student_path scoring cluster honest".split()


def pytest_collection_modifyitems(items):
    rank = {f"test_{name}.py": k for k, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def one_fork_server():
    """All batches of this process ask the same server for kernels: its imports take seconds."""
    with ExitStack() as stack:
        start, started = server.running, []

        @contextmanager
        def shared():
            if not started or not Path(started[-1]).exists():
                started.append(stack.enter_context(start()))
            yield started[-1]

        server.running = shared
        yield
        server.running = start


@pytest.fixture(scope="session")
def checks_file() -> Path:
    """test_rubrics.py proves it current."""
    return SOURCE / "checks.json"


# --- parts of a machine that only some tests need ---------------------------------------------------------------------

# Programs on the path, then patterns of places where they usually are.
BROWSERS = "chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge msedge".split()
BROWSER_PLACES = [
    "/usr/lib*/chromium*/chromium",
    "/snap/bin/chromium",
    "/opt/google/chrome/chrome",
    "/opt/microsoft/msedge/msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "${PROGRAMFILES}/Google/Chrome/Application/chrome.exe",
    "${LOCALAPPDATA}/Google/Chrome/Application/chrome.exe",
    "${PROGRAMFILES(X86)}/Microsoft/Edge/Application/msedge.exe",
]
PLAYWRIGHT_FOLDERS = [  # where `playwright install` puts what it downloads
    "${PLAYWRIGHT_BROWSERS_PATH}",
    "~/.cache/ms-playwright",
    "~/Library/Caches/ms-playwright",
    "${LOCALAPPDATA}/ms-playwright",
]
PLAYWRIGHT_PROGRAMS = ["chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*", "chrome-win*/chrome.exe"]
POSTGRESQL_PLACES = [
    "/usr/lib/postgresql/*/bin/initdb",
    "/usr/pgsql-*/bin/initdb",
    "/opt/homebrew/opt/postgresql*/bin/initdb",
    "/usr/local/opt/postgresql*/bin/initdb",
    "${PROGRAMFILES}/PostgreSQL/*/bin/initdb.exe",
]


def _browser() -> str | None:
    downloaded = [f"{folder}/chromium-*/{program}" for folder in PLAYWRIGHT_FOLDERS for program in PLAYWRIGHT_PROGRAMS]
    return _found(BROWSERS, BROWSER_PLACES + downloaded)


def _postgresql() -> str | None:
    """The folder with its programs."""
    initdb = _found(["initdb"], POSTGRESQL_PLACES)
    return initdb and str(Path(initdb).parent)


def _found(programs: list[str], places: list[str]) -> str | None:
    """The first program on the path, or else the newest in the first place that there is."""
    expanded = [os.path.expandvars(os.path.expanduser(place)) for place in places]
    known = [place for place in expanded if "${" not in place]  # no such folder is named on this system
    return next((p for p in map(shutil.which, programs) if p), None) or next(
        (sorted(found)[-1] for place in known if (found := glob.glob(place))), None
    )


class Part(NamedTuple):
    find: Callable[[], str | bool | None]
    untested: str
    get: str
    everywhere: bool = True  # what no machine of a CI need have is never an error


PARTS = {
    "browser": Part(
        _browser,
        "JupyterLab and the pages in a real browser",
        "install Chromium, Chrome or Edge, for example with `python -m playwright install chromium`",
    ),
    "postgresql": Part(
        _postgresql,
        "a gradebook on a PostgreSQL server",
        "install PostgreSQL's server, on Debian with `apt-get install postgresql`",
    ),
    "libseccomp": Part(
        lambda: find_library("seccomp"),
        "grading in the sandbox",
        "install libseccomp, on Debian with `apt-get install libseccomp2` (Linux only)",
    ),
    "sandbox": Part(
        lambda: not sandbox.why_not(), "grading in the sandbox", "use Linux with user namespaces and Landlock"
    ),
    "root": Part(
        lambda: hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare"),
        "what only root can try: a full disk, another user",
        "run the tests as root on Linux",
        everywhere=False,
    ),
    "gpu": Part(
        lambda: torch.cuda.is_available(), "training on a GPU", "run the tests on a machine with CUDA", everywhere=False
    ),
}


def needs(*parts: str) -> str:
    """Where the (last) part is. Without one the test is skipped with a line that says so; with CI=true it fails."""
    where = ""
    for name in parts:
        part = PARTS[name]
        where = part.find()
        if not where:
            line = f"not tested: {part.untested}. No {name} is here; {part.get}."
            if os.environ.get("CI") == "true" and part.everywhere:
                pytest.fail(line, pytrace=False)
            pytest.skip(line)
    return str(where)
