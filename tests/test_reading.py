"""The notebooks read easily and leave nobody out: short sentences, plain words, pictures that are told in text."""

import html
import re

import nbformat
import pytest

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
