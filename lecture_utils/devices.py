"""Where tensors live: the best device of this machine, and the one on which random numbers are drawn."""

from __future__ import annotations

import torch

HOST = torch.device("cpu")  # random numbers are drawn and results returned here, so a seed means the same everywhere
Device = torch.device | str | None  # None: whatever pick_device() says


def pick_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU; on the CPU torch is told to use one thread.

    The networks of this course are tiny: sharing a 64 × 64 matrix product between threads costs more than the product
    itself, and a thread that waits for a busy core stalls the others. Two threads were measured to be 3 times slower.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    torch.set_num_threads(1)
    return HOST


def describe(device: torch.device | str) -> str:
    """One line for a notebook, for example "Running on cpu (threads: 1), PyTorch 2.13.0"."""
    kind = torch.device(device).type
    if kind == "cuda":
        detail = torch.cuda.get_device_name(device)
    else:
        detail = "Apple GPU" if kind == "mps" else f"threads: {torch.get_num_threads()}"
    return f"Running on {device} ({detail}), PyTorch {torch.__version__.partition('+')[0]}"


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of its own: nothing here touches torch's global one."""
    return torch.Generator(device=HOST).manual_seed(seed)
