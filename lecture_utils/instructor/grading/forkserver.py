"""A process that has imported everything already and forks kernels: ready in a fraction of a second, and sharing memory.

It is started with an empty environment. Each request is a JSON object {connection_file, runtime, sandbox, course}; the answer,
which comes from the new process itself, is {pid} or {error}. Kernels end with the process that asked for them.
"""

from __future__ import annotations

import gc
import importlib
import json
import linecache
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NoReturn

from lecture_utils.checks.withhold import RULES, SCHEDULES, withheld
from lecture_utils.instructor.grading import sandbox

_IMPORTS = """
    ipykernel.kernelapp ipykernel.debugger IPython.core.completerlib IPython.core.debugger IPython.core.oinspect
    IPython.core.ultratb IPython.extensions.storemagic IPython.utils.wildcard tornado.platform.asyncio
    encodings.ascii encodings.idna encodings.latin_1
    matplotlib.font_manager matplotlib.pyplot matplotlib_inline.backend_inline
    torch torch._dynamo torch.func lecture_utils.instructor.grading.emit lecture_utils.explorer lecture_utils.stacked
""".split()


def serve(listener: socket.socket, life: socket.socket) -> None:
    """Fork a kernel for each request of whoever connects, until the other end of ``life`` is closed."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the grader, which then ends this process
    kernels: dict[socket.socket, list[int]] = {}  # handles of those that each connection has asked for
    starting: dict[int, socket.socket] = {}  # who waits for what is told through a pipe
    while life not in (ready := select.select([life, listener, *kernels, *starting], [], [])[0]):
        for channel in ready:
            if channel is listener:
                kernels[listener.accept()[0]] = []
            elif channel in starting:
                _answer(starting.pop(channel), channel)
            elif request := _request(channel):
                kernels[channel] = [handle for handle in kernels[channel] if not _has_ended(handle)]
                handle, pipe = _fork(json.loads(request), [listener, life, *kernels])
                kernels[channel].append(handle)
                starting[pipe] = channel
            else:  # who asked has ended
                for handle in kernels.pop(channel):
                    _end(handle)
                channel.close()


def _request(channel: socket.socket) -> bytes:
    try:
        return channel.recv(65536)
    except OSError:
        return b""


def _answer(channel: socket.socket, pipe: int) -> None:
    """Pass on what a new guardian tells, or that it ended before it could."""
    with os.fdopen(pipe, "rb") as told, suppress(OSError):  # who asked may have ended
        channel.send(told.read() or json.dumps({"error": "the kernel ended while it started"}).encode())


def _fork(request: dict[str, Any], others: list[socket.socket]) -> tuple[int, int]:
    """A handle of a new guardian, and the pipe through which it tells of its kernel."""
    told, reply = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(told)
        for other in others:
            other.close()
        _child(request, reply)
    os.close(reply)
    return os.pidfd_open(pid), told


def _has_ended(handle: int) -> bool:
    if not select.select([handle], [], [], 0)[0]:
        return False
    os.close(handle)
    return True


def _end(handle: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)


def _import_everything() -> None:
    """What the notebooks import, and nothing that starts a thread or computes: that would break the children."""
    os.environ["MPLCONFIGDIR"] = tempfile.gettempdir()
    sys.modules["debugpy"] = None  # a kernel would import its 100 modules
    for module in _IMPORTS:
        importlib.import_module(module)
    with suppress(ImportError, OSError, RuntimeError):  # only the sandbox needs libseccomp, and says so itself
        importlib.import_module("pyseccomp")
    import torch

    from lecture_utils import data

    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports the rest of torch
    data.digits("cpu")  # read once, kept in its cache
    _import_finished_rules()
    with withheld(RULES, SCHEDULES):  # what each kernel will ask for is made once, here
        pass
    linecache.clearcache()  # of the texts that decorators have read
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads > 1:
        raise RuntimeError(f"An import started {threads - 1} thread(s): forked kernels would hang.")
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all these objects


def _import_finished_rules() -> None:
    """In a kernel their files cannot be read."""
    import torch

    for module in pkgutil.walk_packages(torch.optim.__path__, "torch.optim."):
        importlib.import_module(module.name)
    if (package := find_spec("sklearn")) and package.origin:  # this one file without all that is around it
        name = "sklearn.neural_network._stochastic_optimizers"
        file = Path(package.origin).parent / "neural_network" / "_stochastic_optimizers.py"
        if file.exists() and (spec := spec_from_file_location(name, file)) and spec.loader:
            sys.modules[name] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])


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
        if request["sandbox"] and not error:
            sandbox.seal(Path(request["runtime"]))
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
            sandbox.lock(runtime, Path(request["course"]))
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
    serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
