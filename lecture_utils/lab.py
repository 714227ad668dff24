"""`lab`: JupyterLab on the first notebook, with the instructor's menus only for instructors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError, hand_over, tools

FIRST = f"notebooks/{ASSIGNMENT}/00_start_here.ipynb"
SETTINGS = Path(__file__).parent / "jupyter"


def start(port: int = 8888, browser: bool = True, instructor: bool = False) -> int:
    """Run JupyterLab until it is stopped; its exit code. Raises ``CourseError`` when the notebooks are not there."""
    if not (ROOT / FIRST).exists():
        raise CourseError(
            f"{ROOT / FIRST} is missing. Unzip the course again, or run `python3 -m lecture_utils build`."
        )
    settings = [SETTINGS / "everyone"] + ([] if instructor else [SETTINGS / "student"])
    path = os.pathsep.join([*map(str, settings), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])])
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", f"--ServerApp.port={port}"]
    command += [f"--LabApp.default_url=/lab/tree/{FIRST}"] + ([] if browser else ["--no-browser"])
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers, Colab: Jupyter would refuse to start there
    return hand_over(command, {**tools(), "JUPYTER_CONFIG_PATH": path})
