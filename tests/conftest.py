"""What all tests share: the rubrics, and the checks.json that is in the course (test_rubrics.py proves it current)."""

from pathlib import Path

import pytest
import torch

from lecture_utils.environment import SOURCE
from lecture_utils.instructor.authoring.record import load_rubrics

RUBRICS = SOURCE / "rubrics"
EXERCISES = load_rubrics(RUBRICS)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checks_file() -> Path:
    return SOURCE / "checks.json"
