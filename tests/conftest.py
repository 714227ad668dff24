"""What all tests share: the rubrics, and checks.json as build would write it now."""

from pathlib import Path

import pytest
import torch

from lecture_utils.checks.record import checks_json, load_rubrics
from lecture_utils.environment import ROOT

RUBRICS = ROOT / "source" / "lecture12" / "rubrics"
EXERCISES = load_rubrics(RUBRICS)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checks_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("checks") / "checks.json"
    file.write_text(checks_json(EXERCISES), encoding="utf-8")
    return file
