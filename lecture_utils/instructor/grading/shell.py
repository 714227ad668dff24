"""In a kernel that grades, what is no Python of the notebook's does nothing: it may be there, and costs nobody a point."""

from __future__ import annotations

import os
from typing import Any

from IPython.utils.text import SList

_NOTHING = (
    "pip conda mamba micromamba uv cd pushd popd autoreload load_ext reload_ext unload_ext writefile sx system".split()
)
_OTHER_LANGUAGES = "bash sh script html latex javascript js svg perl ruby markdown writefile file system sx".split()
_MEASURED = "timeit prun memit mprun lprun".split()  # of a cell: it is run once


def make_harmless(shell: Any) -> None:
    """Commands of the system, magics of machines that students work on, questions to the user: they do nothing."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def run(line: str, cell: str | None = None) -> None:
        if cell is not None:
            shell.run_cell(cell)

    shell.system = shell.system_raw = shell.system_piped = nothing
    shell.getoutput = lambda *_, **__: SList([])
    for name in _NOTHING:
        shell.register_magic_function(nothing, "line", name)
    for name in _OTHER_LANGUAGES:
        shell.register_magic_function(nothing, "cell", name)
    for name in _MEASURED:
        shell.register_magic_function(run, "line_cell", name)
    _only_known_magics(shell)
    shell.kernel.raw_input = shell.kernel.getpass = lambda *_, **__: ""
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # @torch.compile would start a compiler


def _only_known_magics(shell: Any) -> None:
    """A magic that is not installed here is left out, and its cell is run; figures are as they always are."""
    run_line, run_cell = shell.run_line_magic, shell.run_cell_magic

    def line_magic(name: str, line: str, *args: Any, **kwargs: Any) -> Any:
        if shell.find_line_magic(name) is None or (name == "matplotlib" and "inline" not in line):
            return None
        return run_line(name, line, *args, **kwargs)

    def cell_magic(name: str, line: str, cell: str) -> Any:
        if shell.find_cell_magic(name) is None:
            return shell.run_cell(cell)
        return run_cell(name, line, cell)

    shell.run_line_magic, shell.run_cell_magic = line_magic, cell_magic
