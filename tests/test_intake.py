"""Whatever is handed in: what is found in it, what is told, and that it stays as it is. No kernel runs here."""

import copy
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import nbformat
import nbgrader.utils  # noqa: F401  (a second, in every child that looks at a time)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture_utils.environment import ROOT, CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading import folder, intake
from lecture_utils.instructor.grading.bounded import OverBudget, bounded

NAME = "00_start_here"
FILE = f"{NAME}.ipynb"
ADAM = "06_adam"
RIGHT = "def gradient_step(w, grad, lr):\n    return w - lr * grad"
RELEASED = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in (ROOT / "notebooks/lecture12").glob("*.ipynb")}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = tmp_path_factory.mktemp("course")
    (root / "notebooks").symlink_to(ROOT / "notebooks")
    yield Course(root)
    subprocess.run(["rm", "-rf", root], check=True)  # pytest cannot: some folders are nested too deep


def notebook(name=NAME, answer=RIGHT):
    """A notebook as JSON with one answer written."""
    found = copy.deepcopy(RELEASED[name])
    cell = next(c for c in found["cells"] if c["metadata"].get("nbgrader", {}).get("solution"))
    cell["source"] = answer
    return found


def written(name=NAME, **more):
    return json.dumps(notebook(name, **more))


def prints(folder):
    """What lies below ``folder``, bit by bit. No os.walk: it cannot go 1,200 folders deep."""
    found, folders = [], [str(folder)]
    while folders:
        for entry in os.scandir(folders.pop()):
            status = entry.stat(follow_symlinks=False)
            plain = entry.is_file(follow_symlinks=False) and status.st_size < 10**7
            content = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest() if plain else ""
            found.append((entry.path, status.st_mode, status.st_size, status.st_mtime_ns, content))
            folders += [entry.path] if entry.is_dir(follow_symlinks=False) else []
    return sorted(found)


def hand_in(course, student, make):
    folder = course.submitted(student)
    folder.mkdir(parents=True)
    make(folder)
    return folder


def take(course, student, out):
    before = prints(course.submitted(student))
    found = intake.taken(course, student, out)
    assert prints(course.submitted(student)) == before
    check_written(course, found, out)
    assert len(found.notes) <= intake.NOTES + 1
    assert all(note.isprintable() and len(note) < 1000 for note in found.notes)
    return found


def check_written(course, found, out):
    """Notebooks are valid, and nothing but the kind and the text of cells is the student's."""
    assert sorted(p.stem for p in out.glob("*.ipynb")) == sorted(found.notebooks)
    for name in found.notebooks:
        notebook = nbformat.read(out / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.pop("lecture_utils").keys() == {"moved"}
        assert notebook.metadata == course.released[name].metadata
        own = [c for c in notebook.cells if "lecture_utils" in c.metadata]
        assert all(c.metadata == {"lecture_utils": {"own": True}} and not c.get("outputs") for c in own)
        others = {c.id: c.metadata for c in notebook.cells if "lecture_utils" not in c.metadata}
        assert others == {c.id: c.metadata for c in course.released[name].cells}
        assert len(notebook.cells) == len(own) + len(others)


def answer(out, name=NAME):
    cells = nbformat.read(out / f"{name}.ipynb", as_version=4).cells
    return next(c.source for c in cells if c.metadata.get("nbgrader", {}).get("solution"))


# --- folders: what is found, what is told ------------------------------------------------------------------------

FOLDERS = {}


def folder_with(told="", found=(NAME,), problem=""):
    """``told`` stands in the notes, ``found`` are the notebooks, all with the right answer, ``problem`` in a problem."""

    def keep(make):
        FOLDERS[make.__name__] = (make, told, found, problem)
        return make

    return keep


def put(folder, path, content):
    """A file below ``folder``, with the folders on its way."""
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def zipped(members, how=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@folder_with()
def the_notebook(folder):
    put(folder, FILE, written())


@folder_with(found=(NAME, ADAM))
def two_notebooks(folder):
    put(folder, FILE, written())
    put(folder, f"{ADAM}.ipynb", written(ADAM))


@folder_with(told="my work/00_start_here.ipynb was taken for 00_start_here.ipynb")
def in_a_folder(folder):
    put(folder, f"my work/{FILE}", written())


@folder_with(told="was taken for 00_start_here.ipynb")
def saved_as_json(folder):
    put(folder, "lecture12.json", written())


@folder_with(told="00_start_here.ipynb.txt was taken for")
def saved_as_text(folder):
    put(folder, f"{FILE}.txt", written())


@folder_with(told="homework was taken for")
def without_an_extension(folder):
    put(folder, "homework", written())


@folder_with(told="00_START_HERE.IPYNB was taken for")
def in_upper_case(folder):
    put(folder, FILE.upper(), written())


@folder_with(told="Übung Müller.ipynb was taken for")
def by_another_name(folder):
    put(folder, "Übung Müller.ipynb", written())


@folder_with(told="was taken for")
def with_umlauts_of_a_mac(folder):
    put(folder, unicodedata.normalize("NFD", "Übung Müller (1).ipynb"), written())


@folder_with(told="was taken for")
def with_82_chinese_characters_in_its_name(folder):
    put(folder, "深" * 82 + ".ipynb", written())


@folder_with(told="was taken for")
def with_a_name_that_is_no_text(folder):
    (folder / "x").mkdir()
    os.close(os.open(bytes(folder) + b"/x/\xff\xfe.txt", os.O_CREAT))
    with open(bytes(folder) + b"/\xff\xfe.ipynb", "w") as file:
        file.write(written())


@folder_with(told="was taken for")
def with_a_newline_and_quotes_in_its_name(folder):
    put(folder, "my\n'\"[*] work.ipynb", written())


@folder_with(told="was taken for", found=(NAME, ADAM))
def with_exchanged_names(folder):
    put(folder, FILE, written(ADAM))
    put(folder, f"{ADAM}.ipynb", written())


@folder_with(told="as there is 00_start_here (1).ipynb with as many answers or more: 00_start_here.ipynb")
def with_an_empty_original_beside_the_copy(folder):
    put(folder, FILE, json.dumps(RELEASED[NAME]))
    put(folder, "00_start_here (1).ipynb", written())


@folder_with(told="with as many answers or more: 00_start_here-copy.ipynb")
def with_an_equal_copy(folder):
    put(folder, FILE, written())
    put(folder, "00_start_here-copy.ipynb", written())


@folder_with()
def with_only_its_answers_left(folder):
    put(folder, "00_start_here final.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": RIGHT}]}))


@folder_with(told="work.zip/notebooks/00_start_here.ipynb was taken for")
def in_a_zip_that_holds_a_folder(folder):
    put(folder, "work.zip", zipped({f"notebooks/{FILE}": written(), "__MACOSX/notebooks/._x": "x"}))


@folder_with(told="was taken for", found=(NAME, ADAM))
def in_a_zip_in_a_folder_with_a_broken_name(folder):
    put(folder, "a/b/work.ipynb.zip", zipped({FILE: written(), "Übung.json": written(ADAM)}))


@folder_with(told="Not used, a zip in a zip: work.zip/inner.zip")
def with_a_zip_in_a_zip(folder):
    put(folder, "work.zip", zipped({"inner.zip": zipped({"x": "1"}), FILE: written()}))


@folder_with(
    told="Not used, larger than 100 MB, or than 300 MB with what was read before: bomb.zip/00_start_here.ipynb"
)
def with_a_zip_bomb(folder):
    put(folder, FILE, written())
    put(folder, "bomb.zip", zipped({FILE: "{" + " " * (101 * 2**20)}))


@folder_with(told="Bad CRC-32")
def with_a_zip_that_lies_about_its_sizes(folder):
    put(folder, FILE, written())
    content = zipped({FILE: "{" + " " * (150 * 2**20)})
    put(folder, "lying.zip", content.replace((150 * 2**20 + 1).to_bytes(4, "little"), (10).to_bytes(4, "little")))


@folder_with(told="password required for extraction): locked.zip/00_start_here.ipynb")
def with_a_locked_zip(folder):
    put(folder, FILE, written())
    content = bytearray(zipped({FILE: written()}))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + at] |= 1
    put(folder, "locked.zip", bytes(content))


@folder_with(told="it cannot be read (File is not a zip file): broken.zip")
def with_a_broken_zip(folder):
    put(folder, FILE, written())
    put(folder, "broken.zip", zipped({FILE: written()})[:-40])


@folder_with(told="Not used, no notebook: checkpoint.pt.")
def with_what_is_no_notebook(folder):
    put(folder, FILE, written())
    put(folder, "checkpoint.pt", b"\x80\x02")
    put(folder, f".ipynb_checkpoints/{FILE}", "{")
    put(folder, ".DS_Store", b"\0")


@folder_with(told="Not used, none of the notebooks of this course: history.ipynb")
def with_a_notebook_of_another_course(folder):
    put(folder, FILE, written())
    put(folder, "history.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": "import torch"}] * 20}))


@folder_with(told="any time into it: timestamp.txt")
def with_a_time_of_its_own(folder):
    put(folder, FILE, written())
    put(folder, "timestamp.txt", "2020-01-01 00:00:00 UTC")


@folder_with(told="beyond the first 300 files: ")
def with_many_files(folder):
    for k in range(400):
        put(folder, f"{k}.txt", "")
    put(folder, FILE, written())


@folder_with(told="more than 20 folders deep: d/d")
def with_folders_nested_1200_deep(folder):
    put(folder, FILE, written())
    back = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    os.fchdir(back)
    os.close(back)


@folder_with(told="what was read before: huge.ipynb")
def with_a_file_of_a_terabyte(folder):
    put(folder, FILE, written())
    put(folder, "huge.ipynb", "")
    os.truncate(folder / "huge.ipynb", 2**40)


@folder_with(told="and 55 more")
def with_sixty_sparse_files(folder):
    put(folder, FILE, written())
    for k in range(60):
        put(folder, f"{k}.bin", "")
        os.truncate(folder / f"{k}.bin", 49 * 2**20)


@folder_with(told="a link, which is not followed (look at it by hand): ")
def with_links(folder):
    put(folder, FILE, written())
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    (folder / "zero.ipynb").symlink_to("/dev/zero")
    (folder / "course").symlink_to(ROOT)


@folder_with(told="a link", found=())
def as_a_hard_link(folder):
    put(folder.parent, "elsewhere", written())
    os.link(folder.parent / "elsewhere", folder / FILE)


@folder_with(told="a device and no file: pipe.ipynb")
def with_a_pipe(folder):
    put(folder, FILE, written())
    os.mkfifo(folder / "pipe.ipynb")


@folder_with(told="a device and no file: socket.ipynb")
def with_a_socket(folder):
    put(folder, FILE, written())
    listening = socket.socket(socket.AF_UNIX)
    back = os.getcwd()
    os.chdir(folder)  # the path may be too long for a socket
    listening.bind("socket.ipynb")
    listening.close()
    os.chdir(back)


@folder_with(told="and 9 more")
def with_odd_files_beside_it(folder):
    put(folder, FILE, written())
    for name in (
        "a\nb.txt",
        "a'\"b.txt",
        "ünï😀.txt",
        "-rf.txt",
        "a[*?]{b}.txt",
        "{{7*7}}{% x %}.txt",
        "x" * 250,
        "x ",
    ):
        put(folder, name, "x")
    for name in (
        "lecture_utils/__init__.py",
        "torch.py",
        "sitecustomize.py",
        "conftest.py",
        "nbgrader_config.py",
        "checks.json",
    ):
        put(folder, name, "raise SystemExit")


@folder_with()
def with_links_planted_beside_the_folder(folder):
    put(folder, FILE, written())
    (folder.parent / ".lecture12.00_start_here.ipynb.as_handed_in").symlink_to(ROOT)


@folder_with(told="none of the notebooks of this course: 1111")
def with_sixty_digits_in_a_name(folder):
    put(folder, FILE, written())
    put(folder, "1" * 60 + "x.ipynb", '{"cells": []}')


@folder_with(told="was taken for")
def beside_a_folder_with_its_name(folder):
    (folder / FILE).mkdir()
    put(folder, "x.ipynb", written())


@folder_with(told=": ?[31m?.ipynb")
def with_a_name_that_a_terminal_obeys(folder):
    put(folder, FILE, written())
    put(folder, "\x1b[31m\r.ipynb", "{")


@folder_with(told="00_start_here-2.ipynb")
def with_a_damaged_copy(folder):
    put(folder, FILE, written())
    put(folder, "00_start_here-2.ipynb", written()[:500])


@folder_with(told="beyond the first 50 notebooks: ")
def with_a_hundred_copies(folder):
    for k in range(100):
        put(folder, f"copy {k}.ipynb", written())


@pytest.mark.parametrize("what", FOLDERS)
def test_a_folder(course, tmp_path, monkeypatch, what):
    make, told, found, _ = FOLDERS[what]
    if what == "with_many_files":
        monkeypatch.setattr(folder, "FILES", 300)
    hand_in(course, what, make)
    taken = take(course, what, tmp_path / "out")
    assert tuple(taken.notebooks) == found, taken
    assert any(told in note for note in taken.notes) or not told, taken.notes
    assert bool(taken.error) == (not found)
    assert all(answer(tmp_path / "out", name) == RIGHT for name in found)
    assert folder.digest(course.submitted(what)) == folder.digest(course.submitted(what))


# --- notebooks: bytes and JSON -----------------------------------------------------------------------------------


def old_format(nb):
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"])
    return json.loads(json.dumps(nbformat.convert(nbformat.from_dict(nb), 3)))


def more(nb, *cells):
    """The notebook with further cells; a text stands for a code cell."""
    new = [c if not isinstance(c, str) else {"cell_type": "code", "source": c, "metadata": {}} for c in cells]
    return json.dumps(nb | {"cells": [*nb["cells"], *new]})


def graded(points, name="bonus", **more):
    """A cell that claims to have points."""
    entry = {"grade": True, "solution": False, "locked": True, "points": points, "schema_version": 3, **more}
    return {"cell_type": "code", "source": "100.0", "metadata": {"nbgrader": entry | {"grade_id": name}}}


def with_metadata(nb, **metadata):
    """The notebook with this in the metadata of all cells."""
    return json.dumps(nb | {"cells": [c | {"metadata": c["metadata"] | metadata} for c in nb["cells"]]})


READABLE = {
    "graded cells added": lambda nb: more(nb, graded(100), graded(3, "momentum_step"), graded(float("nan")), graded("many", schema_version=[3])),
    "nbgrader's metadata is a text": lambda nb: with_metadata(nb, nbgrader="x"),
    "nbgrader's metadata is null": lambda nb: with_metadata(nb, nbgrader=None),
    "tags are a text": lambda nb: with_metadata(nb, tags="demo"),
    "our own key, and a magic language": lambda nb: with_metadata(nb, lecture_utils={"own": True, "points": 9}, magics_language=["a"]),
    "verdicts in its metadata": lambda nb: json.dumps(nb | {"metadata": {"lecture_utils": {"results": [1]}, "widgets": 7}}),
    "a kernel of another language": lambda nb: json.dumps(nb | {"metadata": {"kernelspec": {"name": "bash"}, "language_info": "x"}}),
    "outputs of other types": lambda nb: more(nb, *({"cell_type": "code", "source": "1", "outputs": o} for o in (5, [None], [{}], "x"))),
    "attachments": lambda nb: more(nb, {"cell_type": "markdown", "source": "![](attachment:a)", "attachments": {"a": {"text/html": "<script>"}}}),
    "UTF-16": lambda nb: json.dumps(nb).encode("utf-16"),
    "UTF-8 with a byte order mark": lambda nb: b"\xef\xbb\xbf" + json.dumps(nb).encode(),
    "cp1252": lambda nb: json.dumps(nb, ensure_ascii=False).encode("cp1252", "ignore"),
    "Windows line ends": lambda nb: json.dumps(nb, indent=1).replace("\n", "\r\n"),
    "nbformat 3": lambda nb: json.dumps(old_format(nb)),
    "nbformat 4.0": lambda nb: json.dumps(nb | {"nbformat_minor": 0}),
    "nbformat 5": lambda nb: json.dumps(nb | {"nbformat": 5}),
    "no metadata and no format": lambda nb: json.dumps({"cells": nb["cells"]}),
    "metadata of other types": lambda nb: json.dumps(nb | {"metadata": [7], "nbformat": "x"}),
    "half a character": lambda nb: more(nb, "x = '\ud800'"),
    "a character in two halves": lambda nb: more(nb, "x = '\ud83d\ude00'"),
    "a NUL and a terminal's words": lambda nb: more(nb, "x = 1\x00\x1b[31m"),
    "cells that are none": lambda nb: more(nb, None, 7, [], {}, {"cell_type": "code", "source": [1, None]}),
    "unknown kinds": lambda nb: more(nb, {"cell_type": "heading", "level": {}, "source": "a"}, {"cell_type": 5, "source": "a"}),
    "ids of other types": lambda nb: json.dumps(nb | {"cells": [c | {"id": 7} for c in nb["cells"]]}),
    "grade ids of other types": lambda nb: more(nb, {"cell_type": "code", "source": "1", "metadata": {"nbgrader": {"grade_id": ["a"]}}}),
    "60 MB of outputs": lambda nb: more(nb, {"cell_type": "code", "source": "1", "outputs": [{"text": "x" * 60 * 2**20}]}),
    "a cell of 44 MB": lambda nb: more(nb, {"cell_type": "markdown", "source": "x " * 22 * 2**20}),
    "300 kB of x = !y": lambda nb: more(nb, "x = !y\n" * 43_000),
    "540 kB of \\begin{a}": lambda nb: more(nb, {"cell_type": "markdown", "source": r"\begin{a}" * 60_000}),
    "300 kB of tags": lambda nb: more(nb, {"cell_type": "markdown", "source": "<b>&" * 75_000}),
    "3,000 cells": lambda nb: more(nb, *["print('x' * 199000)"] * 3000),
    "50,000 false grade ids": lambda nb: more(nb, *[{"cell_type": "code", "source": "1", "metadata": {"nbgrader": {"grade_id": f"x{k}"}}} for k in range(50_000)]),
    "many definitions of the answer": lambda nb: more(nb, *["gradient_step = 1\nlr = 1\n" * 900] * 40),
    "many first lines of released cells": lambda nb: more(nb, *["import torch\n" * 3000] * 20),
    "many fences": lambda nb: more(nb, *[{"cell_type": "markdown", "source": "```\n" * 12_000}] * 20),
}  # fmt: skip


@pytest.mark.parametrize("what", READABLE)
def test_a_notebook_with_something_odd_in_it_keeps_its_answer(course, tmp_path, what):
    hand_in(course, f"read {what}", lambda folder: put(folder, FILE, READABLE[what](notebook())))
    found = take(course, f"read {what}", tmp_path / "out")
    assert found.notebooks == [NAME]
    assert answer(tmp_path / "out") == RIGHT
    assert (tmp_path / "out" / FILE).stat().st_size < 4 * 10**6


@pytest.mark.parametrize(("what", "told"), {
    "a cell of 44 MB": "1 of its cells are longer than 50000 characters, and were left out",
    "3,000 cells": "1027 of its cells are beyond 2000 cells or 1000000 characters, and were left out",
    "cells that are none": "5 of its cells are no cells at all, and were left out",
    "cp1252": "it is not in UTF-8",
}.items())  # fmt: skip
def test_what_is_left_out_of_a_notebook_is_told(course, tmp_path, what, told):
    hand_in(course, f"told {what}", lambda folder: put(folder, FILE, READABLE[what](notebook())))
    assert any(told in note for note in take(course, f"told {what}", tmp_path / "out").notes)


UNREADABLE = {
    "bad JSON": b"{not json",
    "half a file": written()[: len(written()) // 2],
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1e400",
    "lists nested deep": b'{"cells": ' + b"[" * 10**6,
    "random bytes": bytes(range(256)) * 99,
    "a list of 6 MB": b"[" + b"1," * 3_000_000 + b"1]",
    "a merge conflict": written().replace("{", "<<<<<<< HEAD\n{", 1),
    "what begins like a zip": b"PK\x03\x04" + written().encode(),
    "zeros": b"\0" * 10**6,
    "cells that are a text": b'{"cells": "x"}',
    "a digit too many": b'{"cells": [' + b"1" * 10**5 + b"]",
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_notebook_that_cannot_be_read_is_told_by_its_name(course, tmp_path, what):
    def make(folder):
        put(folder, FILE, UNREADABLE[what])
        put(folder, f"{ADAM}.ipynb", written(ADAM))

    hand_in(course, f"bad {what}", make)
    found = take(course, f"bad {what}", tmp_path / "out")
    assert found.notebooks == [ADAM]
    assert FILE in found.problems[NAME]
    assert not found.error


def test_a_notebook_with_200_000_cells_harms_nobody(course, tmp_path):
    cell = '{"cell_type": "code", "source": "1", "metadata": {}, "outputs": []},'
    text = json.dumps(notebook())
    hand_in(
        course,
        "200,000",
        lambda folder: put(folder, FILE, text.replace('"cells": [', '"cells": [' + cell * 200_000, 1)),
    )
    found = take(course, "200,000", tmp_path / "out")
    assert found.notebooks == [NAME] or NAME in found.problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "metadata", "nbgrader", "grade_id", "tags", "x"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
SOURCES = st.sampled_from([c["source"] for c in RELEASED[NAME]["cells"]] + [RIGHT, "", "    return 1"]) | st.text(
    max_size=50
)
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]) | JSON,
        "source": SOURCES | JSON,
        "id": st.sampled_from([c["id"] for c in RELEASED[NAME]["cells"]]) | JSON,
        "metadata": JSON,
        "outputs": JSON,
    },
)
NOTEBOOKS = st.fixed_dictionaries(
    {"cells": st.lists(CELLS | JSON, max_size=12) | JSON}, optional={"metadata": JSON, "nbformat": JSON}
)


@settings(max_examples=150, deadline=None, database=None)
@given(NOTEBOOKS | JSON)
def test_whatever_a_file_holds_nothing_is_raised_and_valid_notebooks_come_out(course, content):
    student, out = "any", course.root / "out"
    put(course.submitted(student), FILE, json.dumps(content))
    (out / FILE).unlink(missing_ok=True)
    found = intake.take_in(course, student, out)
    assert bool(found.notebooks) != bool(found.problems)
    check_written(course, found, out)


# --- the rest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("student", ["[abc]", "*", "a\nb", "..x", ".records", "ü" * 120])
def test_a_name_that_nbgrader_cannot_take_is_refused(course, tmp_path, student):
    hand_in(course, student, lambda folder: put(folder, FILE, written()))
    with pytest.raises(CourseError, match="rename the folder"):
        intake.taken(course, student, tmp_path / "out")


def test_a_folder_that_is_a_link_is_refused(course, tmp_path):
    hand_in(course, "true", lambda folder: put(folder, FILE, written()))
    (course.root / "submitted" / "linked").symlink_to("true")
    assert folder.walk(course.submitted("linked")) == ([], {"a link, which is not followed": ["lecture12"]})
    with pytest.raises(CourseError, match="links are not followed"):
        intake.taken(course, "linked", tmp_path / "out")


def test_an_empty_folder_is_refused_with_what_lies_beside_it(course, tmp_path):
    hand_in(course, "empty", lambda folder: put(folder.parent, "lecture 12/x.ipynb", written()))
    with pytest.raises(
        CourseError, match=r"nothing in submitted/empty/lecture12/, but in empty/: lecture 12, lecture12"
    ):
        intake.taken(course, "empty", tmp_path / "out")


def test_a_full_disk_is_a_problem_of_this_hand_in(course):
    hand_in(course, "full", lambda folder: put(folder, FILE, written()))
    with pytest.raises(CourseError, match="what was handed in cannot be read: .*No such|Not a directory"):
        intake.taken(course, "full", Path("/dev/null/out"))


def test_a_hand_in_that_takes_too_long_is_a_problem_of_its_own(course, tmp_path, monkeypatch):
    def endless(*_):
        while True:
            pass

    hand_in(course, "slow", lambda folder: put(folder, FILE, written()))
    monkeypatch.setattr(intake, "walk", endless)
    monkeypatch.setattr(intake, "SECONDS", 0.5)
    with pytest.raises(CourseError, match=r"takes more than 0\.5 seconds"):
        intake.taken(course, "slow", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "copied"), [("2026-01-31 23:59:59 UTC", True), ("<script>no date", False), ("9" * 10**6, False)]
)
def test_a_students_own_time_is_believed_only_when_configured(course, tmp_path, text, copied):
    student = f"time {text[:5]}"
    hand_in(course, student, lambda folder: (put(folder, FILE, written()), put(folder, "timestamp.txt", text)))
    intake.taken(course, student, tmp_path / "no")
    found = intake.taken(course, student, tmp_path / "yes", timestamps=True)
    assert not (tmp_path / "no" / "timestamp.txt").exists()
    assert (tmp_path / "yes" / "timestamp.txt").exists() == copied
    assert any("it holds no time" in note for note in found.notes) != copied


def test_the_digest_changes_with_names_and_content(tmp_path):
    put(tmp_path, "a/b", "1")
    seen = {folder.digest(tmp_path)}
    put(tmp_path, "a/b", "2")
    seen.add(folder.digest(tmp_path))
    (tmp_path / "a/b").rename(tmp_path / "a/c")
    seen.add(folder.digest(tmp_path))
    os.truncate(tmp_path / "a/c", 2**40)
    seen |= {folder.digest(tmp_path), folder.digest(tmp_path / "not there")}
    assert len(seen) == 5


def test_names_that_look_alike_are_told():
    names = ["müller", unicodedata.normalize("NFD", "müller"), "Müller", "meier", "ｍeier", "a\u200bb", "ab", "x"]
    assert sorted(map(len, folder.alike(names))) == [2, 2, 3]
    assert folder.alike(["a", "b"]) == []


def test_what_a_bounded_call_does_comes_back():
    assert bounded(sorted, [3, 1], seconds=5, memory=2**28) == [1, 3]
    with pytest.raises(CourseError, match="mend it"):
        bounded(refuse, seconds=5, memory=2**28)
    with pytest.raises(OverBudget, match="MemoryError"):
        bounded(bytearray, 2**31, seconds=5, memory=2**28)
    with pytest.raises(OverBudget, match="RecursionError"):
        bounded(recurse, seconds=5, memory=2**28)
    with pytest.raises(OverBudget, match=r"more than 0\.2 seconds"):
        bounded(os.read, os.pipe()[0], 1, seconds=0.2, memory=2**28)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        bounded(divmod, 1, 0, seconds=5, memory=2**28)
    assert bounded(bytes, 10**7, seconds=5, memory=2**28) == bytes(10**7)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a process with its parent")
def test_a_bounded_call_ends_with_its_parent(tmp_path):
    """Also when that is killed: then nobody is left to end it."""
    code = "import os, time\nfrom lecture_utils.instructor.grading.bounded import bounded\n"
    code += "def wait():\n    print(os.getpid(), flush=True)\n    time.sleep(600)\n"
    code += "bounded(wait, seconds=600, memory=2**28)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    assert parent.stdout.read() == ""  # the child held it open
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()
    parent.wait()


def refuse():
    raise CourseError("mend it")


def recurse():
    return recurse()
