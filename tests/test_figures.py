"""Figures: described in words, labelled directly, told apart without colour, and the same bytes every time."""

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
    notebook = run(SETUP, 'figures.curve([1, 2], [3, 4], x="step", alt=\'It "rises" < fast.\')\nplt.show()')
    outputs = notebook.cells[1].outputs
    assert len(outputs) == 1
    assert set(outputs[0].data) == {"text/html", "text/plain"}
    assert 'alt="It &quot;rises&quot; &lt; fast."' in outputs[0].data["text/html"]
    assert outputs[0].data["text/plain"] == 'Figure: It "rises" < fast.'
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert """alt='It "rises" &lt; fast.'""" in page
    assert "No description has been provided" not in page


def test_a_students_own_figure_gets_a_generic_description():
    notebook = run(SETUP, "plt.plot([1, 2], label='mine')\nplt.xlabel('epoch'); plt.ylabel('loss')\nplt.show()")
    text = notebook.cells[1].outputs[0].data["text/plain"]
    assert text == "Figure: A figure without a description. It plots loss against epoch (mine)."


def test_pictures_are_the_same_bytes_every_time():
    def picture():
        ax = figures.curve([1, 2, 3], {"a": [1, 2, 3], "b": [3, 2, 1]}, alt="two lines")
        return figures.to_html(ax.figure)

    assert picture() == picture()


def test_a_new_figure_without_description_is_refused():
    with pytest.raises(ValueError, match="needs alt="):
        figures.curve([1, 2], [3, 4])


def test_curves_differ_in_colour_and_line_style_and_marker():
    curves = {f"curve {i}": [i, i + 1] for i in range(4)}
    lines = figures.curve([0, 1], curves, alt="four lines").lines
    for attribute in ("get_color", "get_linestyle", "get_marker"):
        assert len({getattr(line, attribute)() for line in lines}) == 4


def test_an_optimizer_keeps_its_look():
    ax = figures.curve([0, 1], {"Adam": [0, 1], "momentum, η = 0.1": [1, 0]}, alt="two optimizers")
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
    ax = figures.curve([0, 1], curves, alt="six lines that end together")
    ax.figure.canvas.draw()
    boxes = sorted((t.get_window_extent() for t in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    for low, high in itertools.pairwise(boxes):
        assert low.y1 <= high.y0 + 1
    assert boxes[-1].y1 <= ax.bbox.y1 + 12
    assert all(box.x0 >= ax.bbox.x1 for box in boxes)


def test_labels_are_not_doubled_when_called_again():
    ax = figures.curve([0, 1], {"a": [0, 1]}, alt="one line")
    figures.label_lines(ax)
    assert [t.get_text() for t in ax.texts] == ["a"]


def test_band_shows_mean_and_range_and_survives_runs_that_blew_up():
    _, ax = plt.subplots()
    runs = torch.tensor([[1.0, 2.0, 3.0], [3.0, 4.0, float("nan")], [2.0, 6.0, float("inf")]])
    figures.band([0, 1, 2], runs, label="loss", ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 4, 3])
    corners = ax.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1, 6)
    with pytest.raises(ValueError, match="minmax"):
        figures.band([0], [[1]], label="loss", ax=ax, kind="range")


def test_a_diverging_path_does_not_blow_up_the_picture():
    path = torch.tensor([[-4.0, 1.0], [1e200, -1e300], [float("nan"), float("inf")]], dtype=torch.float64)
    ax = figures.trajectories(RAVINE, {"SGD": path}, alt="a path that diverges")
    assert ax.get_xlim() == RAVINE.xlim
    assert re.match("<img", figures.to_html(ax.figure))


def test_heatmap_and_arrow_draw_what_they_are_given():
    ax = figures.heatmap(
        [0, 1, 2], [0, 1], [[1, 2, 3], [4, 5, 6]], x="a", y="b", z_label="c", alt="six cells", levels=[2.5]
    )
    assert ax.collections[0].get_array().tolist() == [[1, 2, 3], [4, 5, 6]]
    figures.arrow(ax, (0, 0), (1, 1), "step", color="black")
    assert ax.texts[-1].get_text() == "step"
