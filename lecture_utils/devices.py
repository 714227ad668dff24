"""Where tensors live: the best device of this machine, and the one on which random numbers are drawn."""

from __future__ import annotations

import torch

HOST = torch.device("cpu")
"""Random numbers are drawn and results handed back here, whatever the device: so a seed means the same run everywhere."""


def pick_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU; on the CPU torch is told to use one thread.

    The networks of this course are tiny: sharing one 64 × 64 matrix product between threads costs more than the
    product, and a thread that waits for a busy core stalls all others (3 times slower with two threads, measured).
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    torch.set_num_threads(1)
    return HOST


def describe(device: torch.device | str) -> str:
    """One line for a notebook, for example "Running on cpu (1 thread), PyTorch 2.13.0"."""
    device = torch.device(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        detail = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    elif device.type == "mps":
        detail = "Apple GPU"
    else:
        threads = torch.get_num_threads()
        detail = f"{threads} thread{'s' * (threads != 1)}"
    return f"Running on {device} ({detail}), PyTorch {torch.__version__.partition('+')[0]}"


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of its own: nothing here touches torch's global one."""
    return torch.Generator(device=HOST).manual_seed(seed)
