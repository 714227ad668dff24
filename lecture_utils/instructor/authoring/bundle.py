"""`bundle`: one zip file with what a student needs, and nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course

FOLDER = "improving_optimization"
README = """\
# Improving Optimization

Nine notebooks on how neural networks are trained. You write the update rules yourself; each has a check that tells you
which mistake yours looks like.

1. Install Python 3.11 or newer (python.org) if you have none.
2. Open a terminal in this folder and type

       python3 -m lecture_utils lab

   (on Windows: `py -m lecture_utils lab`). The first start takes a few minutes and needs the internet: it puts
   everything into the folder `.venv` here. Later starts take seconds and work offline. JupyterLab opens in your browser.
3. Begin with `notebooks/lecture12/00_start_here.ipynb`. Your work is saved in the notebooks themselves.
4. Before you hand in: open each notebook, press **Validate** in its toolbar, mend what it names. Hand in the `.ipynb` files
   under their own names. Leave `checks.json` and `checks.npz` where they are.

If something breaks: delete the folder `.venv` and start again with step 2. Your notebooks are not touched.
"""


def write(course: Course, target: Path) -> None:
    """Write the zip file and say what is in it: only what has a source goes in, as it was built.

    Of the package all goes in but ``instructor/``. Raises ``CourseError`` for a notebook that is not there, or that
    somebody has worked in.
    """
    notebooks = [course.notebooks / f"{source.stem}.ipynb" for source in course.sources]
    given = [*notebooks, course.notebooks / "checks.json", course.notebooks / "checks.npz"]
    again = "Run `python3 -m lecture_utils build`."
    for file in given:
        if not file.is_file():
            raise CourseError(f"{file} is not there. {again}")
    for file in notebooks:
        if any(cell.get("outputs") for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]):
            raise CourseError(f"{file} has outputs: somebody has run it. Delete it. {again}")
    package = course.root / "lecture_utils"
    code = sorted(f for kind in ("py", "js", "css", "json", "toml") for f in package.rglob(f"*.{kind}"))
    code = [f for f in code if package / "instructor" not in f.parents]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "README.md", README)
        for file in [*given, *code, course.root / "requirements.txt", course.root / "pyproject.toml"]:
            _add(archive, file.relative_to(course.root).as_posix(), file.read_bytes())
    print(f"wrote {target}: {len(given)} files of notebooks, {target.stat().st_size / 1024:.0f} kB")


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    """With a fixed time, so that the same course makes the same zip file."""
    entry = zipfile.ZipInfo(f"{FOLDER}/{name}", (2025, 10, 13, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
