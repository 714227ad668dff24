"""The notebooks read easily and leave nobody out: short sentences, plain words, pictures that are told in text, a core of the
stated length in which a student writes, and nothing that gives an answer away."""

import html
import re

import jupytext
import nbformat
import pytest

from lecture_utils import figures
from lecture_utils.environment import ROOT

SOLUTIONS = sorted((ROOT / "solutions" / "lecture12").glob("[0-9]*.ipynb"))
# Words that make a reader who is stuck feel stupid, or that leave somebody out.
UNKIND = re.compile(
    r"\b(simply|obviously|obvious to|trivial(ly)?|clearly|of course|needless to say|as everyone knows|"
    r"guys|mankind|manpower|he or she|his or her|(black|white)list(ed)?|master[- ]slave|sanity check|crazy|insane|lame)\b",
    re.IGNORECASE,
)


def sentences(notebook):
    """The sentences of the running text: no formulas, code, tables, links' addresses, headings and references."""
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = text.partition("**Reference")[0]
    for pattern in (r"```.*?```", r"^ {4}.*$", r"^[|#].*$", r"\$\$.*?\$\$", r"</?[a-z][^>\n]*>", r"\]\([^)]*\)"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL if "?" in pattern else re.MULTILINE)
    text = re.sub(r"\$[^$]*\$|`[^`]*`", "x", text)
    parts = [re.findall(r"\w[\w'’-]*", s) for s in re.split(r"(?<=[.!?:;])\s+|\n\s*[-\n]", text)]
    return [words for words in parts if len(words) >= 3]


def pictures(notebook):
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    return [
        html.unescape(alt)
        for o in outputs
        for alt in re.findall(r'<img[^>]*\balt="([^"]*)"', o.get("data", {}).get("text/html", ""))
    ]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_words_are_plain_and_kind(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not (found := UNKIND.search(cell.source)), f"{found[0]!r} in: {cell.source[:200]}"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_sentences_are_short(path):
    lengths = sorted(map(len, sentences(nbformat.read(path, as_version=4))))
    assert len(lengths) > 30
    assert sum(lengths) / len(lengths) < 15
    assert lengths[int(0.95 * len(lengths))] <= 28


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_pictures_are_described_by_what_they_show(path):
    """In whole sentences of at least ten words, that do not begin with the kind of picture."""
    for alt in pictures(nbformat.read(path, as_version=4)):
        assert len(alt.split()) >= 10, alt
        assert not re.match(r"(A |The )?(plot|graph|figure|chart|image|picture)\b", alt, re.IGNORECASE), alt
        assert alt.rstrip().endswith("."), alt  # whole sentences


def test_there_are_pictures_to_look_at():
    assert sum(len(pictures(nbformat.read(p, as_version=4))) for p in SOLUTIONS) > 30


# --- core and deeper -------------------------------------------------------------------------------------------------

SOURCES = sorted((ROOT / "source" / "lecture12").glob("0[0-7]_*.py"))  # questions are answered faster than exercises
by_source = pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)


def cells_of(source):
    """(the core, what stands under Deeper)"""
    cells = jupytext.read(source, fmt="py:percent").cells
    cut = next((k for k, c in enumerate(cells) if c.source.startswith("## Deeper")), len(cells))
    return cells[:cut], cells[cut:]


def written(cells):
    """How many lines of the solution a student writes."""
    regions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", "\n".join(c.source for c in cells), re.DOTALL)
    return sum(bool(line.strip()) for region in regions for line in region.splitlines())


def run(cells):
    """How many lines of code are only run: no set-up, answers and checks."""
    own = [c for c in cells if c.cell_type == "code" and "nbgrader" not in c.metadata]
    return sum(bool(line.strip()) for c in own if "figures.setup()" not in c.source for line in c.source.splitlines())


def minutes(cells):
    """180 words a minute, 4 seconds a line of code, a minute for a prediction or a reading, 2.5 for a point."""
    text = "\n".join(c.source for c in cells if c.cell_type == "markdown").partition("**Reference")[0]
    text = re.sub(r"<details><summary>Hint.*?</details>", "", text, flags=re.DOTALL)  # hints are not for everybody
    points = sum(c.metadata.get("nbgrader", {}).get("points", 0) for c in cells)
    asked = text.count("**Predict") + text.count("<b>Read the")
    return len(text.split()) / 180 + run(cells) / 15 + asked + 2.5 * points


@by_source
def test_the_core_takes_the_stated_minutes(source):
    core, _ = cells_of(source)
    stated = int(re.search(r"\*\*(\d+) minutes", core[0].source + core[1].source).group(1))
    assert stated == 15 if source.stem.startswith("00") else 60 <= stated <= 75
    assert minutes(core) == pytest.approx(stated, abs=5), source.stem


@by_source
def test_the_table_of_contents_tells_both_times(source):
    core, deeper = cells_of(source)
    stated = re.search(r"\*\*(\d+) minutes", core[0].source + core[1].source).group(1)
    more = sum(map(int, re.findall(r"^\*(\d+) minutes?\.\*", "\n".join(c.source for c in deeper), re.MULTILINE)))
    start = nbformat.read(ROOT / "notebooks" / "lecture12" / "00_start_here.ipynb", as_version=4)
    table = next(c.source for c in start.cells if "| notebook | you will be able to" in c.source)
    row = next(r for r in table.splitlines() if r.startswith(f"| {int(source.stem[:2])} "))
    assert [cell.strip() for cell in row.split("|")[-3:-1]] == [stated, str(more or "–")]


@by_source
def test_a_student_writes_one_line_for_every_five_that_run(source):
    core, _ = cells_of(source)
    if not source.stem.startswith("00"):
        assert run(core) <= 5 * written(core), (run(core), written(core))


@by_source
def test_everything_graded_stands_in_the_core(source):
    _, deeper = cells_of(source)
    assert not [c.source for c in deeper if c.metadata.get("nbgrader", {}).get("grade")]


@by_source
def test_each_deeper_section_says_how_long_it_takes(source):
    _, deeper = cells_of(source)
    starts = [k for k, c in enumerate(deeper) if re.match(r"## \d", c.source)]
    for begin, end in zip(starts, [*starts[1:], len(deeper)], strict=True):
        stated = re.search(r"\n\*(\d+) minutes?\.\*", deeper[begin].source)
        assert stated, deeper[begin].source[:60]
        assert minutes(deeper[begin:end]) == pytest.approx(int(stated[1]), abs=3), deeper[begin].source[:60]


@by_source
def test_sections_are_numbered_and_their_headings_can_be_linked_to(source):
    cells = [c for part in cells_of(source) for c in part]
    headings = [line for c in cells for line in c.source.splitlines() if re.match(r"## \d", line)]
    number = int(source.stem[:2])
    assert [h.split("  ")[0] for h in headings] == [f"## {number}.{k}" for k in range(1, len(headings) + 1)]
    for heading in headings:
        assert re.fullmatch(r"## \d\.\d+  [A-Za-z0-9 ?*-]+", heading), heading


@by_source
def test_readings_are_folded_and_plumbing_is_out_of_sight(source):
    core, deeper = cells_of(source)
    for cell in core + deeper:
        if cell.cell_type == "markdown":
            assert not re.search(r"^\*\*Read the", cell.source, re.MULTILINE), cell.source[:80]
            assert cell.source.count("<details>") == cell.source.count("</details>"), cell.source[:80]
        else:
            assert not re.search(r"plt\.show|\balt=", cell.source), cell.source[:80]
    assert "Where we are" in "\n".join(c.source for c in core[:4]) or source.stem.startswith("00")


def test_every_description_belongs_to_a_figure():
    code = "\n".join(c.source for s in SOURCES for part in cells_of(s) for c in part if c.cell_type == "code")
    named = re.findall(r'figure="(\w+)"', code)
    assert sorted(named) == sorted(figures.texts())


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_every_picture_has_a_description_of_its_own(path):
    assert not [alt for alt in pictures(nbformat.read(path, as_version=4)) if "without a description" in alt]
