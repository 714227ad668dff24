"""Every number in the running text is one that a cell of the same notebook prints or works with."""

import re

import nbformat
import pytest

from lecture_utils.environment import ROOT

SOLUTIONS = sorted((ROOT / "solutions" / "lecture12").glob("0[0-7]_*.ipynb"))
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?"

# What no cell can print: {notebook: {number: where it comes from}}.
FROM_SOURCES: dict[str, dict[str, str]] = {}


def prose(notebook):
    """The running text: no code, tables, displayed formulas, headings, links' addresses, hints and references."""
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = text.partition("**Reference")[0]
    for pattern in (r"```.*?```", r"\$\$.*?\$\$", r"<details><summary>Hint.*?</details>", r"\]\([^)]*\)", r"<[^>\n]*>"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    text = re.sub(r"^(#|\||    ).*$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*\d+ minutes.*?\*\*|\*\*Exercise [^*]*\*\*|\*\d+ minutes?\.\*|`[^`]*`", " ", text)
    text = re.sub(
        r"\b(notebooks?|sections?|exercises?|algorithm|chapter|in|of) \d+\.\d+", " ", text, flags=re.IGNORECASE
    )
    return text.replace("{,}", ",").replace(r"\%", "%").replace(r"\,", "")


def said(text):
    """[(as written, value, decimals, whether in per cent)]: decimals, percentages and whole numbers of three digits or more."""
    found = []
    for match in re.finditer(rf"(?<![\w.,^/])({NUMBER})(\s?%)?(?![\w^]|\.\d)", text):
        digits, percent = match[1].replace(",", ""), bool(match[2])
        decimals = len(digits.partition(".")[2]) if "e" not in digits else 12
        year = re.fullmatch(r"(18|19|20)\d\d", match[1])
        if (decimals or percent or float(digits) >= 100) and not year:
            found.append((match[0], float(digits), decimals, percent))
    return found


def known(notebook):
    """All numbers that cells print or hold, and those that a table of the notebook lists."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts.append(cell.source)
            texts += [o.text for o in cell.outputs if o.output_type == "stream"]
        else:
            texts += re.findall(r"^\|.*$|\$\$.*?\$\$", cell.source, flags=re.MULTILINE | re.DOTALL)
    return {float(n.replace(",", "")) for n in re.findall(NUMBER, "\n".join(texts))}


def matches(value, decimals, percent, numbers):
    half = 0.5000001 * 10.0**-decimals
    return any(abs(n - value) <= half or (percent and abs(100 * n - value) <= half) for n in numbers)


def unprinted(notebook, allowed=()):
    numbers = known(notebook)
    return [
        text
        for text, value, decimals, percent in said(prose(notebook))
        if text.strip() not in allowed and not matches(value, decimals, percent, numbers)
    ]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_every_number_in_the_text_is_printed_by_a_cell(path):
    notebook = nbformat.read(path, as_version=4)
    allowed = FROM_SOURCES.get(path.stem[:2], {})
    assert not (found := unprinted(notebook, allowed)), f"no cell of {path.name} prints {', '.join(found)}"
    stale = [n for n in allowed if n not in [text.strip() for text, *_ in said(prose(notebook))]]
    assert not stale, f"no longer said: {stale}"


def test_the_search_can_find_a_number_that_nobody_printed():
    cell = nbformat.v4.new_code_cell("lr = 0.3\nprint(loss)")
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="loss 0.0417, accuracy 0.923\n")]
    text = "With $\\eta = 0.3$ the loss is 0.04, or 0.05, at 92.3 % and 91 %, after 1,437 steps (Reddi 2018)."
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell])
    assert [t.strip() for t in unprinted(notebook)] == ["0.05", "91 %", "1,437"]
