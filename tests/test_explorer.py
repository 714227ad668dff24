"""The explorer: the browser's rules are torch's, its look is the figures', and it has a static picture."""

import json
import re
import shutil
import subprocess

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright._impl._driver import compute_driver_executable

from lecture_utils import figures
from lecture_utils.environment import ROOT
from lecture_utils.explorer import explorer, walk
from lecture_utils.landscapes import LANDSCAPES

NODE = compute_driver_executable()[0]  # playwright brings its own
SCRIPT = ROOT / "lecture_utils" / "explorer.js"
SETTINGS = {
    "ravine": (0.02, 0.9),
    "Rosenbrock": (2e-4, 0.8),
    "Beale": (0.002, 0.9),
    "two wells": (0.05, 0.7),
    "saddle": (0.1, 0.5),
}


def node(code, tmp_path):
    """What a piece of JavaScript returns that sees everything explorer.js exports."""
    module = tmp_path / "explorer.mjs"
    shutil.copy(SCRIPT, module)
    program = f'import * as e from "{module.as_uri()}"; console.log(JSON.stringify((() => {{ {code} }})()));'
    run = subprocess.run([NODE, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("method", figures.METHODS)
@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_rules_in_the_browser_are_those_of_torch(landscape, method, tmp_path):
    lr, alpha = SETTINGS[landscape]
    start = [0.3, 0.4]
    code = f'return e.simulate("{landscape}", "{method}", {start}, 80, {{lr: {lr}, alpha: {alpha}, beta: 0.97}});'
    path = torch.tensor(node(code, tmp_path), dtype=torch.float64)
    expected = walk(landscape, method, start, 80, lr, alpha, 0.97)
    assert (expected[-1] - expected[0]).norm() > 0.01
    torch.testing.assert_close(path, expected, rtol=1e-10, atol=1e-10)


def test_landscapes_in_the_browser_are_those_of_python(tmp_path):
    points = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    code = f"const p = {points.tolist()}; return Object.fromEntries(Object.entries(e.landscapes).map(([k, l]) => [k, "
    code += "{...l, f: p.map((q) => l.f(...q)), grad: p.map((q) => l.grad(...q))}]));"
    found = node(code, tmp_path)
    assert list(found) == list(LANDSCAPES)
    for name, land in LANDSCAPES.items():
        torch.testing.assert_close(torch.tensor(found[name]["f"]).double(), land.f(points), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(torch.tensor(found[name]["grad"]).double(), land.grad(points), rtol=1e-5, atol=1e-5)
        for key in ("minimum", "xlim", "ylim"):
            assert tuple(found[name][key]) == getattr(land, key)
        assert found[name]["start"] == land.start.tolist()


def test_methods_look_as_in_all_figures(tmp_path):
    found = node("return e.methods;", tmp_path)
    assert {k: (v["label"], v["color"]) for k, v in found.items()} == {
        k: (v["label"], v["color"]) for k, v in figures.METHODS.items()
    }
    styles = [(v["dash"], v["color"]) for v in found.values()]
    assert len(set(styles)) == len(styles)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"landscape": "hill"}, "choose one of ravine"),
        ({"methods": ["adamw"]}, "There is no method 'adamw'"),
        ({"methods": []}, "methods is empty"),
        ({"lr": 0}, "lr must lie between"),
        ({"alpha": 1.0}, "alpha must lie between"),
        ({"steps": 10_000}, "steps must lie between"),
        ({"start": [1, 2, 3]}, "two numbers"),
    ],
)
def test_bad_settings_are_told(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        explorer(**arguments)


def test_without_a_kernel_there_is_a_described_picture():
    cells = ["from lecture_utils.explorer import explorer", "explorer('ravine', methods=('sgd', 'momentum'))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, store_widget_state=False).execute()
    data = notebook.cells[1].outputs[0].data
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(data)
    assert data["text/plain"].startswith("Explorer: ravine")
    exported, _ = HTMLExporter().from_notebook_node(notebook)
    assert re.search(r'<img alt="Explorer: ravine, start \(-4, 1\).*Loss after 60 steps: SGD', exported)
