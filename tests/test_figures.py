"""Figures: described in words, labelled directly, told apart without colour, and the same bytes every time."""

import base64
import io
import itertools
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from lecture_utils import figures
from lecture_utils.landscapes import RAVINE


@pytest.fixture(autouse=True)
def fresh():
    plt.switch_backend("agg")
    figures.setup()
    yield
    plt.close("all")


def run(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook).execute()
    return notebook


SETUP = "import matplotlib.pyplot as plt\nfrom lecture_utils import figures\nfigures.setup()"


def test_a_figure_reaches_the_notebook_once_with_its_description():
    draw = (
        'ax = figures.curve([1, 2], [3, 4], x="step")\nfigures.describe(ax.figure, \'It "rises" < fast.\')\nax = None'
    )
    notebook = run(SETUP, draw)
    outputs = notebook.cells[1].outputs
    assert len(outputs) == 1
    assert set(outputs[0].data) == {"text/html", "text/plain"}
    assert 'alt="It &quot;rises&quot; &lt; fast."' in outputs[0].data["text/html"]
    assert outputs[0].data["text/plain"] == 'Figure: It "rises" < fast.'
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert """alt='It "rises" &lt; fast.'""" in page
    assert "No description has been provided" not in page


def test_a_figure_on_the_last_line_is_shown_once_and_says_nothing_more():
    notebook = run(SETUP, "figures.curve([1, 2], [3, 4])")
    assert [set(o.data) for o in notebook.cells[1].outputs] == [{"text/html", "text/plain"}]
    assert notebook.cells[1].outputs[0].data["text/plain"].startswith("Figure: ")


def test_a_students_own_figure_gets_a_generic_description():
    notebook = run(SETUP, "plt.plot([1, 2], label='mine')\nplt.xlabel('epoch'); plt.ylabel('loss')\nplt.show()")
    text = notebook.cells[1].outputs[0].data["text/plain"]
    assert text == "Figure: A figure without a description. It plots loss against epoch (mine)."


def test_pictures_are_the_same_bytes_every_time():
    def picture():
        ax = figures.curve([1, 2, 3], {"a": [1, 2, 3], "b": [3, 2, 1]})
        return figures.to_html(ax.figure)

    assert picture() == picture()


def test_a_name_brings_its_description_and_an_unknown_one_is_refused(monkeypatch):
    monkeypatch.setattr(figures, "texts", lambda: {"falling": "The loss falls to zero."})
    assert figures.description(figures.curve([1, 2], [4, 3], figure="falling").figure) == "The loss falls to zero."
    with pytest.raises(ValueError, match="describes a figure 'rising'"):
        figures.curve([1, 2], [3, 4], figure="rising")


def test_pictures_are_drawn_at_twice_the_resolution_they_are_shown_at():
    page = figures.to_html(figures.curve([1, 2], [3, 4]).figure)
    shown = int(re.search(r'width="(\d+)"', page)[1])
    drawn = plt.imread(io.BytesIO(base64.b64decode(re.search('base64,([^"]+)', page)[1]))).shape[1]
    assert drawn in (2 * shown, 2 * shown + 1)


def test_theory_is_a_line_over_measured_markers():
    ax = figures.curve([1, 2], {"measured": [3, 4]}, theory={"your formula": [3, 4.1], "by hand": ([1, 1.5], [3, 3.5])})
    measured, *predicted = ax.lines
    assert (measured.get_linestyle(), measured.get_marker()) == ("None", "o")
    assert [line.get_linestyle() != "None" for line in predicted] == [True, True]
    assert len({line.get_color() for line in ax.lines}) == 3


def test_what_is_dressed_is_there():
    ax = figures.curve(
        [1, 10], {"a": [1, 2]}, x="step", log="x", yticks={1: "one", 2: "two"}, notes={"here": (1, 1)},
        lines={"drop": 3}, span=(2, 4, "range"), steps=True, legend=True, title="T", xlim=(1, 10),
    )  # fmt: skip
    assert {"here", "drop", "range"} <= {t.get_text() for t in ax.texts}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    assert (ax.get_xlabel(), ax.get_xscale(), ax.get_title("left"), ax.get_xlim()) == ("step", "log", "T", (1, 10))
    assert ax.get_legend()
    assert ax.lines[0].get_drawstyle() == "steps-post"


def test_a_histogram_adds_up_to_one_and_panels_hold_pictures(monkeypatch):
    ax = figures.histogram({"sizes": [1, 2, 2, 3]}, bins=[0.5, 1.5, 2.5, 3.5])
    assert ax.lines[0].get_ydata().sum() == 1
    monkeypatch.setattr(figures, "texts", lambda: {"digits": "Two digits."})
    figures.pictures(torch.rand(2, 64), [3, 9], figure="digits")
    assert [ax.get_title() for ax in plt.gcf().axes] == ["3", "9"]


def test_panels_with_one_scale_are_labelled_at_the_edge(monkeypatch):
    monkeypatch.setattr(figures, "texts", lambda: {"four": "Four panels."})
    for share, inner in {"xy": "", "": "x"}.items():
        axes = figures.panels(2, 2, figure="four", share=share)
        for ax in axes:
            figures.curve([1, 2], [3, 4], ax=ax, x="x", y="y")
        assert [ax.get_xlabel() for ax in axes] == [inner, inner, "x", "x"]
        assert [ax.get_ylabel() for ax in axes] == ["y", "" if share else "y"] * 2


def test_each_colour_is_seen_on_white():
    for look in [*figures.METHODS.values(), *figures.CYCLE]:
        assert 1.05 / (luminance(look["color"]) + 0.05) >= 3, look
    assert not {m["color"] for m in figures.METHODS.values()} & {c["color"] for c in figures.CYCLE}


def test_curves_differ_in_colour_and_line_style_and_marker():
    curves = {f"curve {i}": [i, i + 1] for i in range(4)}
    lines = figures.curve([0, 1], curves).lines
    for attribute in ("get_color", "get_linestyle", "get_marker"):
        assert len({getattr(line, attribute)() for line in lines}) == 4


def test_an_optimizer_keeps_its_look():
    ax = figures.curve([0, 1], {"Adam": [0, 1], "momentum, η = 0.1": [1, 0]})
    assert [line.get_color() for line in ax.lines] == [figures.METHODS[m]["color"] for m in ("adam", "momentum")]


def luminance(color):
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_methods_are_told_apart_by_colour_blind_readers():
    """By deuteranopes (Viénot et al. 1999: red and green fall together), and by style without any colour."""
    looks = list(figures.METHODS.values())
    assert len({m["marker"] for m in looks}) == len(looks)
    assert len({(m["linestyle"], m["marker"]) for m in looks}) == len(looks)
    seen = []
    for look in looks:
        r, g, b = (int(look["color"][i : i + 2], 16) / 255 for i in (1, 3, 5))
        seen.append(np.array([0.29 * r + 0.71 * g, b, luminance(look["color"])]))
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert np.abs(one - other).max() > 0.15


def test_line_labels_do_not_overlap_and_stay_beside_the_axes():
    curves = {f"line {i}": [0, 1 + i / 1000] for i in range(6)}
    ax = figures.curve([0, 1], curves)
    ax.figure.canvas.draw()
    boxes = sorted((t.get_window_extent() for t in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    for low, high in itertools.pairwise(boxes):
        assert low.y1 <= high.y0 + 1
    assert boxes[-1].y1 <= ax.bbox.y1 + 12
    assert all(box.x0 >= ax.bbox.x1 for box in boxes)


def test_labels_are_not_doubled_when_called_again():
    ax = figures.curve([0, 1], {"a": [0, 1]})
    figures.label_lines(ax)
    assert [t.get_text() for t in ax.texts] == ["a"]


def test_band_shows_mean_and_range_and_survives_runs_that_blew_up():
    _, ax = plt.subplots()
    runs = torch.tensor([[1.0, 2.0, 3.0], [3.0, 4.0, float("nan")], [2.0, 6.0, float("inf")]])
    figures.band([0, 1, 2], {"loss": runs}, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 4, 3])
    corners = ax.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1, 6)
    with pytest.raises(ValueError, match="minmax"):
        figures.band([0], [[1]], label="loss", ax=ax, kind="range")


def test_a_diverging_path_does_not_blow_up_the_picture():
    path = torch.tensor([[-4.0, 1.0], [1e200, -1e300], [float("nan"), float("inf")]], dtype=torch.float64)
    ax = figures.trajectories(RAVINE, {"SGD": path})
    assert ax.get_xlim() == RAVINE.xlim
    assert "<img" in figures.to_html(ax.figure)


def test_heatmap_and_vectors_draw_what_they_are_given():
    ax = figures.heatmap([0, 1, 2], [0, 1], [[1, 2, 3], [4, 5, 6]], x="a", y="b", z_label="c", levels=[2.5])
    assert ax.collections[0].get_array().tolist() == [[1, 2, 3], [4, 5, 6]]
    ax = figures.vectors({"step": ((0, 0), (1, 1))}, colors={"step": "adam"}, points={"w": (0, 0)})
    assert {"step", "w"} <= {t.get_text() for t in ax.texts}
