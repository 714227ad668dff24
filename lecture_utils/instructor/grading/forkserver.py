"""A process that has imported everything already and forks kernels: ready in a fraction of a second, and sharing memory.

It is started with an empty environment and talks over one socket that no other process can reach. Each request is a
JSON object {connection_file, runtime, sandbox}; the answer is {pid} or {error}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from lecture_utils.instructor.grading import sandbox

_IMPORTS = """
    ipykernel.kernelapp IPython.core.ultratb matplotlib.font_manager matplotlib.pyplot matplotlib_inline.backend_inline
    torch torch._dynamo torch.func lecture_utils.instructor.grading.emit lecture_utils.explorer lecture_utils.stacked
""".split()


def serve(descriptor: int) -> None:
    """Fork a kernel for each request, until the other end of the socket ``descriptor`` is closed."""
    channel = socket.socket(fileno=descriptor)
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the grader, which then closes the socket
    with suppress(BrokenPipeError, ConnectionResetError):  # the grader has ended
        channel.send(b"ready")
        while request := channel.recv(65536):
            answer, reply = os.pipe()
            if os.fork() == 0:
                channel.close()
                os.close(answer)
                _child(json.loads(request), reply)
            os.close(reply)
            with os.fdopen(answer, "rb") as pipe:
                channel.send(pipe.read() or json.dumps({"error": "the kernel ended while it started"}).encode())


def _import_everything() -> None:
    """What the notebooks import, and nothing that starts a thread or computes: that would break the children."""
    os.environ["MPLCONFIGDIR"] = tempfile.gettempdir()
    for module in _IMPORTS:
        importlib.import_module(module)
    with suppress(ImportError, OSError, RuntimeError):  # only the sandbox needs libseccomp, and says so itself
        importlib.import_module("pyseccomp")
    import torch

    from lecture_utils import data

    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports the rest of torch
    data.digits("cpu")  # read once, kept in its cache
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads > 1:
        raise RuntimeError(f"An import started {threads - 1} thread(s): forked kernels would hang.")
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all these objects


def _child(request: dict[str, Any], reply: int) -> NoReturn:
    """Become the guardian of a kernel: its parent, in whose new namespaces the kernel is process 1."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()
        sandbox.die_with_parent()
        if request["sandbox"]:
            sandbox.enter_namespaces()
        started, working = os.pipe()
        if (kernel := os.fork()) == 0:
            os.close(reply)
            os.close(started)
            _kernel(request, working)
        os.close(working)
        with os.fdopen(started, "rb") as pipe:
            error = pipe.read().decode()
        os.write(reply, json.dumps({"error": error} if error else {"pid": kernel}).encode())
        os.close(reply)
        os.waitpid(kernel, 0)
    except BaseException as error:
        os.write(reply, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    os._exit(0)


def _kernel(request: dict[str, Any], working: int) -> NoReturn:
    """Lock this process in, make the kernel, and run it to its end."""
    try:
        sandbox.die_with_parent()
        os.setsid()  # kill(0, …) reaches its whole process group: the guardian is not in it
        runtime = Path(request["runtime"])
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        os.closerange(3, working)
        os.closerange(working + 1, 4096)
        os.environ.clear()
        work = str(runtime / sandbox.WORK)
        own = {"HOME": work, "IPYTHONDIR": work, "MPLCONFIGDIR": work, "TMPDIR": work, "JUPYTER_CONFIG_DIR": work}
        os.environ.update(own, OMP_NUM_THREADS="1", PATH="/usr/bin", LANG="C.UTF-8")
        tempfile.tempdir = None
        if request["sandbox"]:
            sandbox.make_work_folder(runtime)
            sandbox.lock(runtime)
        else:
            os.chdir(work)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        from ipykernel.kernelapp import IPKernelApp

        app = IPKernelApp.instance()
        app.initialize(["-f", request["connection_file"], "--HistoryManager.enabled=False", "--no-secure"])
        if request["sandbox"]:
            sandbox.close_doors()
    except BaseException as error:
        os.write(working, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(working)
    try:
        app.start()
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
