"""What honest editors and students do to a notebook costs no answer: a table of damages, tried on every notebook.

Each damage changes a solved notebook as JSON. Then every answer must arrive at its exercise, or stand in a cell of the
student's own below it, and every cell that the course wrote must be there once, as it was given out.
"""

import copy
import json
import random

import jupytext
import nbformat
import pytest

from lecture_utils.environment import ROOT
from lecture_utils.instructor.grading.intake import given_cells
from lecture_utils.instructor.grading.transplant import Released, answered, key, transplant

NOTEBOOKS, SOLUTIONS = (ROOT / step / "lecture12" for step in ("notebooks", "solutions"))
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
RELEASED = {p.stem: nbformat.read(p, as_version=4) for p in PATHS}
KNOWN = {name: Released(notebook) for name, notebook in RELEASED.items()}
WORDS = "**Your answer** (write it in place of the line below):\n\nIn deep valleys the average turns slowly.\n\nSo it fails."


def solved(name):
    """The notebook as a good student hands it in, as JSON."""
    right = {c.id: c.source for c in nbformat.read(SOLUTIONS / f"{name}.ipynb", as_version=4).cells}
    notebook = json.loads(json.dumps(RELEASED[name]))
    for r, cell in enumerate(notebook["cells"]):
        if r in KNOWN[name].names:
            cell["source"] = right[cell["id"]] if cell["cell_type"] == "code" else WORDS
            if cell["source"].startswith("student ="):
                cell["source"] = cell["source"].replace("your id", "müller")
    return notebook


SOLVED = {name: solved(name) for name in RELEASED}


def code(source, **metadata):
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def text(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


# --- the damages -------------------------------------------------------------------------------------------------

DAMAGES = {}


def damage(told=None, own=False, but=()):
    """``told`` must stand in what is told of it. ``own``: an answer may stand below its exercise. ``but``: notebooks."""

    def keep(change):
        DAMAGES[change.__name__] = (change, told, own, but)
        return change

    return keep


def grade_id(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def is_check(cell):
    return cell["source"].startswith(("check(", "check_answer("))


def answers(nb):
    """The answers in code, as cells of the student's notebook."""
    return [c for c in nb["cells"] if grade_id(c).endswith("-answer") and c["cell_type"] == "code"]


def stub(nb, cell):
    """The cell as it was given out."""
    name = nb["name"]
    return next(c for c in RELEASED[name].cells if c.id == cell["id"]).source


def without_ids(nb):
    for cell in nb["cells"]:
        cell.pop("id", None)


def bare(nb):
    without_ids(nb)
    for cell in nb["cells"]:
        cell["metadata"] = {}


@damage()
def saved_by_google_colab(nb):
    for k, cell in enumerate(nb["cells"]):
        cell["id"] = f"Xy_{k}abcDEF"
        cell["metadata"] = {"id": f"Xy_{k}abcDEF", "colab": {"base_uri": "https://localhost:8080/"}}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}], "execution_count": k}
    nb["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nb["cells"].insert(0, text('<a href="https://colab.research.google.com/x">Open in Colab</a>'))
    nb["cells"].insert(
        1, code("from google.colab import drive\ndrive.mount('/content/drive')\n!pip install torch\n%cd /content")
    )
    nb["nbformat_minor"] = 0


@damage()
def saved_by_vs_code(nb):
    without_ids(nb)
    for cell in nb["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
        cell["metadata"] = {"vscode": {"languageId": "python"}} | cell["metadata"]
    nb["nbformat_minor"] = 2


@damage()
def timed_in_vs_code(nb):
    for cell in answers(nb):
        cell["source"] = "%%time\n" + cell["source"]


@damage()
def saved_by_deepnote(nb):
    for k, cell in enumerate(nb["cells"]):
        cell.pop("id", None)
        cell["metadata"] = {"cell_id": f"{k:032x}", "deepnote_cell_type": cell["cell_type"], "tags": []}
    nb["cells"].append(text("<a style='text-decoration:none' href='https://deepnote.com'>Created in Deepnote</a>"))


def through_jupytext(nb, fmt):
    nb.pop("name")
    back = jupytext.reads(jupytext.writes(nbformat.from_dict(nb), fmt), fmt)
    nb["cells"] = json.loads(json.dumps(back))["cells"]


@damage()
def through_jupytext_percent(nb):
    through_jupytext(nb, "py:percent")


@damage()
def through_jupytext_markdown(nb):
    through_jupytext(nb, "md")


@damage()
def through_jupytext_light_without_metadata(nb):
    bare(nb)
    through_jupytext(nb, "py:light")


@damage()
def all_metadata_stripped(nb):
    bare(nb)


@damage()
def ids_lost(nb):
    without_ids(nb)


@damage()
def given_out_with_other_ids(nb):
    for k, cell in enumerate(nb["cells"]):
        cell["id"] = f"99-{k:08x}"


@damage()
def ids_doubled(nb):
    for cell in nb["cells"]:
        cell["id"] = "same"


@damage()
def windows_line_ends_tabs_and_spaces_at_ends(nb):
    bare(nb)
    for cell in nb["cells"]:
        cell["source"] = "\r\n".join(line + "  " for line in cell["source"].split("\n")) + "\r\n\r\n"
        if not is_check(cell):
            cell["source"] = cell["source"].replace("    ", "\t")


@damage()
def converted_to_nbformat_3(nb):
    nb.pop("name")
    old = nbformat.convert(nbformat.from_dict(nb), 3)
    nb.clear()
    nb.update(json.loads(json.dumps(old)))


@damage()
def huge_outputs(nb):
    for cell in nb["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 10**5}]


@damage(told="was missing and was put back")
def checks_deleted(nb):
    nb["cells"] = [c for c in nb["cells"] if not is_check(c)]


@damage(told="had been changed and stands as it was given out")
def checks_edited(nb):
    for cell in nb["cells"]:
        if is_check(cell):
            cell["source"] = "print(1)\n" + cell["source"] + "  # twice"


@damage(told="was there 2 times")
def checks_duplicated(nb):
    nb["cells"] = [c for cell in nb["cells"] for c in ([cell, copy.deepcopy(cell)] if is_check(cell) else [cell])]


@damage(told="was there 2 times")
def answers_duplicated_the_first_is_written(nb):
    for cell in answers(nb):
        again = copy.deepcopy(cell) | {"source": stub(nb, cell)}
        nb["cells"].insert(nb["cells"].index(cell) + 1, again)


@damage(told="was there 2 times")
def answers_duplicated_the_last_is_right(nb):
    for cell in answers(nb):
        first = copy.deepcopy(cell) | {
            "source": stub(nb, cell).replace("raise NotImplementedError()", "return None  # no")
        }
        nb["cells"].insert(nb["cells"].index(cell), first)


@damage(told="was missing and was put back")
def only_answers_and_the_set_up_left(nb):
    setup = next(c for c in nb["cells"] if c["cell_type"] == "code")
    keep = [*answers(nb), *(c for c in nb["cells"] if c["source"] == WORDS), setup]
    keep += [c for r, c in enumerate(nb["cells"]) if r in KNOWN[nb["name"]].names]
    nb["cells"] = [c for c in nb["cells"] if any(c is k for k in keep)]


@damage(told="stands in a cell of its own", own=True)
def answers_in_new_cells_below_their_checks(nb):
    for cell in answers(nb):
        own = code(cell["source"])
        cell["source"] = stub(nb, cell)
        at = nb["cells"].index(cell)
        check = next(k for k in range(at, len(nb["cells"])) if is_check(nb["cells"][k]))
        nb["cells"].insert(check + 1, own)


@damage(told="stands in a cell of its own", own=True)
def answers_at_the_end(nb):
    for cell in answers(nb):
        nb["cells"].append(code(cell["source"]))
        cell["source"] = stub(nb, cell)


@damage(told="stands in a cell of its own", own=True)
def all_answers_in_one_cell_at_the_end(nb):
    nb["cells"].append(code("\n\n\n".join(c["source"] for c in answers(nb))))
    for cell in answers(nb):
        cell["source"] = stub(nb, cell)


@damage(told="was taken from another cell")
def answers_in_new_cells_above(nb):
    for cell in answers(nb):
        nb["cells"].insert(nb["cells"].index(cell), code(cell["source"]))
        cell["source"] = stub(nb, cell)


@damage()
def answer_cells_deleted_and_written_anew(nb):
    for cell in answers(nb):
        nb["cells"][nb["cells"].index(cell)] = code("# my own\n" + cell["source"])


@damage()
def answers_moved_to_the_top(nb):
    found = answers(nb)
    nb["cells"] = [nb["cells"][0], *found, *(c for c in nb["cells"][1:] if not any(c is f for f in found))]


@damage(told="its check stood above its answer")
def checks_moved_to_the_top(nb):
    found = [c for c in nb["cells"] if is_check(c)]
    nb["cells"] = [nb["cells"][0], *found, *(c for c in nb["cells"][1:] if not any(c is f for f in found))]


@damage()
def cells_shuffled(nb):
    random.Random(0).shuffle(nb["cells"])


@damage()
def cells_in_reverse_order(nb):
    nb["cells"].reverse()


@damage(told="stood in one cell with")
def answer_and_check_merged(nb):
    for cell in answers(nb):
        below = nb["cells"][nb["cells"].index(cell) :][:4]
        for check in [c for c in below if is_check(c)][:1]:
            cell["source"] += "\n\n" + check["source"]
            nb["cells"].remove(check)


@damage(told="stood in one cell with")
def answers_merged_into_the_text_above(nb):
    for cell in answers(nb):
        at = nb["cells"].index(cell)
        above = nb["cells"][at - 1]
        if above["cell_type"] == "markdown":
            above["source"] += "\n\n" + cell["source"]
            nb["cells"].remove(cell)


@damage(told="was taken from another cell", but=("00_start_here",))
def all_answers_merged_into_the_first(nb):
    first, *others = answers(nb)
    first["source"] = "\n\n".join(c["source"] for c in [first, *others])
    nb["cells"] = [c for c in nb["cells"] if not any(c is o for o in others)]


@damage(told="was taken from another cell", but=("00_start_here",))
def two_answers_merged_and_ids_lost(nb):
    first, second = answers(nb)[:2]
    first["source"] += "\n\n" + second["source"]
    nb["cells"].remove(second)
    bare(nb)


@damage()
def answers_split_between_statements(nb):
    for cell in answers(nb):
        at = nb["cells"].index(cell)
        helper = "def my_helper(x):\n    return x\n\n\n"
        nb["cells"].insert(at, code(helper.strip()))


@damage(told="its answer stood in two cells")
def answers_split_inside_the_function(nb):
    for cell in answers(nb):
        head, _, tail = cell["source"].partition("\n")
        if not tail.startswith("    "):
            continue
        at = nb["cells"].index(cell)
        cell["source"] = head
        nb["cells"].insert(at + 1, code(tail))


@damage(told="cell, which does not run")
def answers_turned_to_markdown(nb):
    for cell in answers(nb):
        cell["cell_type"] = "markdown"


@damage(told="cell, which does not run")
def answers_turned_to_raw(nb):
    for cell in answers(nb):
        cell["cell_type"] = "raw"


@damage(told="cell, which does not run")
def answers_fenced_in_markdown(nb):
    for cell in answers(nb):
        cell |= {"cell_type": "markdown", "source": f"My answer:\n\n```python\n{cell['source']}\n```\n"}


@damage(told="cell, which does not run")
def answers_fenced_in_new_markdown_below(nb):
    for cell in answers(nb):
        own = text(f"```python\n{cell['source']}\n```")
        cell["source"] = stub(nb, cell)
        nb["cells"].insert(nb["cells"].index(cell) + 1, own)


@damage()
def checks_turned_to_markdown(nb):
    for cell in nb["cells"]:
        if is_check(cell):
            cell["cell_type"] = "markdown"


@damage()
def everything_turned_to_code(nb):
    bare(nb)
    for cell in nb["cells"]:
        cell["cell_type"] = "code"


@damage()
def cells_after_answers_are_indented(nb):
    """Which runs in a notebook, and belongs to no function above."""
    for cell in answers(nb):
        nb["cells"].insert(nb["cells"].index(cell) + 1, code("    x = 1\n    print(x)"))


@damage()
def demonstrations_copied_and_changed(nb):
    for cell in [c for c in nb["cells"] if "demo" in c["metadata"].get("tags", [])]:
        nb["cells"].insert(nb["cells"].index(cell) + 1, code(cell["source"].replace("0.1", "0.2") + "\nx = 1"))


@damage()
def demonstrations_changed_and_ids_lost(nb):
    bare(nb)
    for cell in nb["cells"]:
        if "figures.curve" in cell["source"]:
            cell["source"] += "\nx = 1"


@damage()
def set_up_turned_to_markdown_with_a_word_before_it(nb):
    cell = next(c for c in nb["cells"] if c["cell_type"] == "code")
    cell |= {"cell_type": "markdown", "source": "The set-up:\n" + cell["source"]}


@damage()
def notes_and_experiments_between(nb):
    nb["cells"] = [c for k, cell in enumerate(nb["cells"]) for c in (cell, code(f"x{k} = {k}"), text(f"note {k}"))]


@damage()
def a_later_experiment_defines_the_name_again(nb):
    for cell in answers(nb):
        name = grade_id(cell).removesuffix("-answer")
        nb["cells"].append(code(f"def {name}(*a):\n    return 0"))


@damage()
def answers_begin_with_magics(nb):
    bare(nb)
    for cell in nb["cells"]:
        if cell["source"].startswith("def "):
            cell["source"] = "!pip install pandas\n%matplotlib inline\nx = !ls\n" + cell["source"]


@damage()
def flags_and_points_of_nbgrader_changed(nb):
    for cell in nb["cells"]:
        cell["metadata"].setdefault("nbgrader", {}).update(points=99, locked=False, grade=True, schema_version=99)


@damage()
def checks_tagged_as_demonstrations(nb):
    for cell in nb["cells"]:
        cell["metadata"]["tags"] = ["demo"]


@damage(told=None)
def grade_ids_of_checks_and_answers_exchanged(nb):
    for cell in answers(nb):
        entry = cell["metadata"]["nbgrader"]
        entry["grade_id"] = entry["grade_id"].removesuffix("-answer")
        cell["id"] = "x"


@damage(told="in a cell of the kind code", but=tuple(n for n in RELEASED if n[:2] != "07"))
def words_in_a_code_cell(nb):
    cell = next(c for c in nb["cells"] if c["source"] == WORDS)
    cell |= code(WORDS) | {"metadata": cell["metadata"]}


@damage(told="in a cell below", but=tuple(n for n in RELEASED if n[:2] != "07"))
def words_in_a_new_cell_below(nb):
    cell = next(c for c in nb["cells"] if c["source"] == WORDS)
    nb["cells"].insert(nb["cells"].index(cell) + 1, text(WORDS.split("\n\n", 1)[1]))
    cell["source"] = stub(nb, cell)


@damage(told="in a cell below", but=tuple(n for n in RELEASED if n[:2] != "07"))
def words_split(nb):
    bare(nb)
    cell = next(c for c in nb["cells"] if c["source"] == WORDS)
    cell["source"], rest = WORDS.rsplit("\n\n", 1)
    nb["cells"].insert(nb["cells"].index(cell) + 1, text(rest))


# --- what must hold ----------------------------------------------------------------------------------------------


def damaged(name, change):
    notebook = copy.deepcopy(SOLVED[name]) | {"name": name}
    change(notebook)
    return transplant(KNOWN[name], given_cells(json.loads(json.dumps(notebook)), []))


def check_is_released(name, notebook):
    """Every cell of the course is there once, with its metadata, and fixed ones with their text."""
    by_id = {}
    for cell in notebook.cells:
        by_id.setdefault(cell.id, []).append(cell)
    for r, cell in enumerate(RELEASED[name].cells):
        found = by_id.get(cell.id, [])
        assert len(found) == 1, (cell.source[:80], len(found))
        assert found[0].metadata == cell.metadata
        assert found[0].cell_type == cell.cell_type
        if r in KNOWN[name].fixed:
            assert found[0].source == cell.source
    nbformat.validate(notebook)


def lines_of(source):
    """What is compared: the text of an answer, whatever stands around it."""
    return {line.strip() for line in key(source).split("\n") if line.strip()}


def missing_answers(name, notebook, own):
    """Exercises whose answer did not arrive, or arrives below a check that does not run again."""
    place = {c.id: k for k, c in enumerate(notebook.cells)}
    found = []
    for r, names in KNOWN[name].names.items():
        given, right = RELEASED[name].cells[r], lines_of(SOLVED[name]["cells"][r]["source"])
        cell = notebook.cells[place[given.id]]
        here = lines_of(cell.source) >= right
        below = [
            c for c in notebook.cells[place[given.id] :] if c.cell_type == "code" and "lecture_utils" in c.metadata
        ]
        if not here and not (own and any(lines_of(c.source) >= right for c in below)):
            found.append((names, cell.source))
        checks = [
            k
            for k in KNOWN[name].checks
            if names & set(RELEASED[name].cells[k].source.replace("(", " ").replace(")", " ").split())
        ]
        assert all(place[RELEASED[name].cells[k].id] > place[given.id] for k in checks)
    return found


@pytest.mark.parametrize("what", DAMAGES)
def test_no_honest_damage_costs_an_answer(what):
    change, told, own, but = DAMAGES[what]
    for name in [n for n in RELEASED if n not in but]:
        notebook, moved = damaged(name, change)
        check_is_released(name, notebook)
        assert missing_answers(name, notebook, own) == [], (name, moved)
        if told:
            assert any(told in sentence for sentence in moved), (name, moved)


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_notebook_is_the_same_afterwards(name):
    cells = given_cells(json.loads(json.dumps(RELEASED[name])), [])
    notebook, moved = transplant(RELEASED[name], cells)
    assert nbformat.writes(notebook) == nbformat.writes(RELEASED[name])
    assert moved == []
    assert answered(KNOWN[name], notebook) == 0


@pytest.mark.parametrize("name", RELEASED)
def test_a_solved_notebook_keeps_its_texts_and_nothing_is_told(name):
    notebook, moved = transplant(RELEASED[name], given_cells(SOLVED[name], []))
    assert [c.source for c in notebook.cells] == [c["source"] for c in SOLVED[name]["cells"]]
    assert moved == []
    assert answered(KNOWN[name], notebook) == len(KNOWN[name].names)


def test_a_copied_demonstration_is_a_cell_of_its_own():
    name = "04_momentum_nesterov"
    notebook, moved = damaged(name, demonstrations_copied_and_changed)
    assert moved == []
    own = [c for c in notebook.cells if "lecture_utils" in c.metadata]
    assert len(own) == sum("demo" in c.metadata.get("tags", []) for c in RELEASED[name].cells)


def test_a_check_that_is_called_again_stays_in_its_own_cell():
    name = "04_momentum_nesterov"
    again = "if True:\n    print(1)\ncheck(momentum_step)\nx = 1"
    notebook, moved = damaged(name, lambda nb: nb["cells"].insert(5, code(again)))
    assert again in [c.source for c in notebook.cells]
    assert moved == []


def test_own_cells_stay_where_they_were_written():
    name = "04_momentum_nesterov"
    notebook, moved = damaged(name, notes_and_experiments_between)
    written = [
        text for k, cell in enumerate(SOLVED[name]["cells"]) for text in (cell["source"], f"x{k} = {k}", f"note {k}")
    ]
    assert [c.source for c in notebook.cells] == written
    assert moved == []


def test_nothing_handed_in_is_the_released_notebook():
    for name in RELEASED:
        notebook, moved = transplant(KNOWN[name], [])
        assert notebook.cells == RELEASED[name].cells
        assert any("was missing" in sentence for sentence in moved)
