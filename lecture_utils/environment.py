"""Set-up: from a bare Python to an environment in which the course runs. Standard library only.

Runs before anything is installed, on whatever Python a newcomer has: no syntax newer than Python 3.8 here, so that
an old Python can still be told what is wrong.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASSIGNMENT = "lecture12"
VENV = ROOT / ".venv"
STAMP = VENV / "lecture_utils.stamp"
LOG = VENV / "setup.log"
MINIMUM = (3, 11)
NEEDED_BYTES = 2 * 1024**3  # torch's CPU build with JupyterLab; on Linux, PyPI's CUDA build takes more


class CourseError(Exception):
    """Something a user can mend. Its text is all that is shown."""


def ensure(extras: Sequence[str] = ()) -> str:
    """The Python of an environment that satisfies the requirements, made or mended first if need be.

    The running one is used when it fits. ``extras`` are optional dependencies of pyproject.toml: what only some commands
    need is installed when one of those is first used. Raises ``CourseError``.
    """
    if sys.version_info < MINIMUM:
        raise CourseError(
            f"Python {'.'.join(map(str, MINIMUM))} or newer is needed, this is {sys.version.split()[0]}. "
            "Install one from python.org and start the command with it, for example python3.11 -m lecture_utils."
        )
    if not missing(extras):
        return sys.executable
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Where .venv's own Python misses something, its stamp is out of date.
    if Path(sys.prefix) == VENV or not _stamped(extras):
        _install(python, extras)
    return str(python)


def tools() -> dict[str, str]:
    """The process environment for programs that work for the course.

    This Python's own programs come first (nbgrader calls alembic and jupyter by name), and so does this copy of the
    package, where another one is installed.
    """
    first = {"PATH": os.path.dirname(os.path.abspath(sys.executable)), "PYTHONPATH": str(ROOT)}
    joined = {name: os.pathsep.join(filter(None, [place, os.environ.get(name)])) for name, place in first.items()}
    return {**os.environ, **joined, "PYTHONWARNINGS": "ignore"}


def hand_over(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Go on as another program, so that Ctrl-C reaches that one alone; where that cannot be, run it to its end."""
    environment = dict(os.environ) if environment is None else environment
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, environment)
    return subprocess.run(command, env=environment, check=False).returncode


def missing(extras: Sequence[str] = ()) -> list[str]:
    """The requirements that the running environment does not satisfy, as "name==version"."""
    return [f"{name}=={version}" for name, version in pins(extras).items() if not _has(name, version)]


def pins(extras: Sequence[str] = ()) -> dict[str, str]:
    """Name and exact version of every direct dependency, this package included."""
    project = _project()
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for extra in _with_those_inside(extras):
        lines += project["optional-dependencies"][extra]
    found = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {"lecture_utils": project["version"], **found}


def _with_those_inside(extras: Sequence[str]) -> list[str]:
    """``extras``, and those that they ask for themselves: "lecture_utils[grading]" in "test"."""
    optional, found = _project()["optional-dependencies"], list(extras)
    for extra in found:  # which grows meanwhile
        asked = [line.partition("[")[2].rstrip("]").split(",") for line in optional[extra] if "[" in line]
        found += [name for names in asked for name in names if name not in found]
    return found


def _project() -> dict:
    import tomllib  # which the older Pythons that are told to go do not have

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _has(name: str, version: str) -> bool:
    try:
        # "2.13.0+cpu" is a build of 2.13.0
        # An interrupted installation leaves a folder that names no version.
        return (metadata.version(name) or "").partition("+")[0] == version
    except metadata.PackageNotFoundError:
        return False


def _digest() -> str:
    files = [ROOT / "requirements.txt", ROOT / "pyproject.toml"]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files) + str(ROOT).encode()).hexdigest()


def _stamped(extras: Sequence[str]) -> bool:
    """Whether .venv was finished for these very requirement files; written last, so never by half a set-up."""
    return (
        STAMP.exists()
        and STAMP.read_text(encoding="utf-8").split()[:1] == [_digest()]
        and (set(_with_those_inside(extras)) <= _remembered())
    )


def _remembered() -> set[str]:
    """The extras that .venv has had."""
    words = STAMP.read_text(encoding="utf-8").split()[1:] if STAMP.exists() else []
    return set(words) & set(_project()["optional-dependencies"])


def _install(python: Path, extras: Sequence[str]) -> None:
    more = f"Adding the packages for {' and '.join(extras)} to {VENV} (once) …"
    whole = f"Setting up the course in {VENV} (a few minutes, once) …"
    print(more if extras and STAMP.exists() else whole, flush=True)
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES and not STAMP.exists():
        raise CourseError(
            f"Only {free / 1024**3:.1f} GB are free on the disk of {ROOT}, about {NEEDED_BYTES / 1024**3:.0f} GB are "
            "needed. Make room, then start the same command again: it goes on where it stopped."
        )
    extras = sorted({*_with_those_inside(extras), *_remembered()})
    STAMP.unlink(missing_ok=True)
    if not python.exists() or _quietly(str(python), "-m", "pip", "--version").returncode:
        made = _quietly(sys.executable, "-m", "venv", "--clear", str(VENV))
        if made.returncode:
            raise CourseError(_advice(made.stdout + made.stderr))
    LOG.unlink(missing_ok=True)  # pip appends
    command = [str(python), *"-m pip install --disable-pip-version-check --no-input --log".split(), str(LOG)]
    command += ["-r", "requirements.txt", *(["-e", f"{ROOT}[{','.join(extras)}]"] if extras else [])]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise CourseError(_advice(_complaints()))
    STAMP.write_text(" ".join([_digest(), *extras]), encoding="utf-8")


def _complaints() -> str:
    """What pip's log, which holds every little thing, has of warnings and errors."""
    log = LOG.read_text(encoding="utf-8", errors="replace") if LOG.exists() else ""
    lines = [re.sub(r"^[-0-9]+T[0-9:,]+ ", "", line) for line in log.splitlines()]
    return "\n".join(line for line in lines if re.match(r"\s*(WARNING|ERROR|error|\w*Error)\b", line))


def _quietly(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _advice(output: str) -> str:
    """One sentence on what went wrong and what to do, for the output of a set-up step that failed."""
    locked = f"The folder {ROOT} cannot be written to. Copy the course to a folder of your own."
    causes = {
        "No space left on device|not enough space": "The disk is full. Make room, then start the same command again.",
        # Without a network pip says both "connection" and "no matching distribution": the first is the cause.
        "NewConnectionError|ConnectionError|Temporary failure in name resolution|getaddrinfo failed|ReadTimeout|SSLError|ProxyError": (
            "The package index cannot be reached. Connect to the internet, then start the same command again."
        ),
        "ensurepip": "This Python cannot make environments. On Debian or Ubuntu: sudo apt install python3-venv",
        "WinError 32": "A file of .venv is in use. Close JupyterLab and all notebooks, then start the same command again.",
        "Long Path|WinError 206": f"The folder {ROOT} has too long a name for Windows. Move the course nearer to C:\\.",
        "Permission denied|WinError 5\\b|Access is denied": locked,
        "No matching distribution|Could not find a version": (
            "A package has no version for this Python or system. Python 3.11, 64 bit, works everywhere: "
            "delete the .venv folder and start the command with it."
        ),
    }
    for pattern, advice in causes.items():
        if re.search(pattern, output):
            return f"Set-up failed: {advice} (The log is {LOG}.)" if LOG.exists() else f"Set-up failed: {advice}"
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
    return (
        f"Set-up failed: {last.strip()} Start the same command again; if it fails again, send {LOG} to your instructor."
    )
