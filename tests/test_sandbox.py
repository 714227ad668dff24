"""What code in a sandboxed kernel can do, tried in one kernel: a row is a piece of code and what must come of it.

Where it makes sense the same is tried outside, in a process of its own: a probe that fails there, too, proves nothing.
"""

import asyncio
import errno
import os
import platform
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import needs

from lecture_utils.environment import ROOT, tools
from lecture_utils.instructor.grading import root, sandbox, server
from lecture_utils.instructor.grading.kernels import Forked, GradingKernelManager

TRY = """
import ctypes, errno, fcntl, glob, io, json, mmap, os, signal, socket, stat, struct, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    answer = libc.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "")
    return answer
def attempt(code, known):
    names = {**globals(), **known, "names": known, "found": "done"}
    try:
        exec(code, names)
        return str(names["found"])
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    except BaseException as error:
        return type(error).__name__
"""
IN_A_CHILD = """
def in_a_child(code, known):
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        os.write(theirs, attempt(code, known).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(ours, 9999).decode()
"""


class Probe(NamedTuple):
    name: str
    code: str
    inside: str
    outside: str | None = "done"  # None: not tried there


def all_of(*codes: str) -> str:
    """What comes of each, without repetition."""
    return f"found = ' '.join(sorted({{attempt(code, names) for code in {list(codes)!r}}}))"


# Names: COURSE, SECRET (a file of the course), OTHERS (a folder outside with a file and sockets), RUNTIME, HERE (this
# process), READABLE (a file that is shown to kernels).
FILES = [
    Probe("a file of the course is read", "open(SECRET).read()", "ENOENT"),
    Probe("a file of the course is named", all_of("os.stat(SECRET)", "os.lstat(SECRET)", "os.readlink(SECRET)", "os.chmod(SECRET, 0o644)",
          "os.truncate(SECRET, 0)", "os.getxattr(SECRET, 'user.x')"), "ENOENT", None),
    Probe("a folder of the course is entered", "os.chdir(COURSE + '/source')", "ENOENT"),
    Probe("access to a file of the course", "found = os.access(SECRET, os.F_OK)", "False", "True"),
    Probe("files far up", "os.stat('../' * 20 + SECRET)", "ENOENT"),
    Probe("a link out of the work folder", "os.symlink(SECRET, 'way'); open('way').read()", "ENOENT"),
    Probe("a file beside the course", "open(OTHERS + '/secret.txt')", "ENOENT"),
    Probe("the gradebook by SQLite", "import sqlite3; sqlite3.connect('file:' + OTHERS + '/book.db?mode=ro', uri=True).execute('select 1 from sqlite_master')", "OperationalError"),
    Probe("home, passwords, temporary files", "found = [p for p in ('/home', '/etc/passwd', '/etc/shadow', '/tmp/.', '/var', '/run', '/root/.bashrc', os.path.expanduser('~root/.ssh')) if os.path.lexists(p) and not RUNTIME.startswith(p.rstrip('.'))]", "[]", None),
    Probe("/proc, /sys, shared memory, terminals", "found = [p for p in ('/proc', '/proc/self', '/proc/1/environ', '/sys', '/dev/shm', '/dev/tty', '/dev/pts', '/dev/ptmx', '/dev/mem', '/dev/kmsg', '/dev/fuse', '/dev/net') if os.path.lexists(p)]", "[]", None),
    Probe("a file by its handle", "call(304, -100, ctypes.create_string_buffer(16), 0)", "EPERM", None),
    Probe("the room for grading", "found = os.listdir(COURSE + '/lecture_utils/instructor')", "[]", None),
    Probe("no folder or file is open", "found = [n for n in range(256) if attempt(f'os.fstat({n})', {}) == 'done' and (stat.S_ISDIR(os.fstat(n).st_mode) or stat.S_ISREG(os.fstat(n).st_mode))]", "[]", None),
    Probe("open sockets are its own", "found = {str(s.getsockname()).split('/k-')[0] for n in range(256) if attempt(f'os.fstat({n})', {}) == 'done' and stat.S_ISSOCK(os.fstat(n).st_mode) for s in [socket.socket(fileno=os.dup(n))] if s.family == socket.AF_UNIX} - {RUNTIME, ''}", "set()", None),
    Probe("no secret in its environment", "found = [k for k in os.environ if any(x in k.upper() for x in ('KEY', 'TOKEN', 'SECRET', 'NBGRADER', 'PARENT', 'PASS'))]", "[]", None),
    Probe("reading the environment's files", "open(READABLE).read(); os.listdir('/usr')", "done"),
    Probe("writing into it", "open(READABLE, 'a')", "EROFS"),
    Probe("writing where code is", all_of("open('/usr/x', 'w')", "open('/x', 'w')", "open(COURSE + '/x', 'w')", "open(COURSE + '/lecture_utils/x', 'w')", "open(os.path.dirname(socket.__file__) + '/x', 'w')", "open('/dev/x', 'w')", "os.mkdir('/new')", "os.mkdir(sys.prefix + '/x')"), "EROFS", None),
    Probe("owner, rights, times, attributes", all_of("os.chmod(READABLE, 0o644)", "os.chown(READABLE, os.getuid(), os.getgid())", "os.utime(READABLE)", "os.setxattr(READABLE, 'user.x', b'x')", "os.chmod('/dev/null', 0o666)", "os.utime('/dev/null')"), "EROFS", None),
    Probe("its sockets and its connection file", all_of("os.unlink(RUNTIME + '/k-1')", "os.rename(RUNTIME + '/k-1', RUNTIME + '/k-9')", "open(RUNTIME + '/kernel.json', 'w')", "os.chmod(RUNTIME, 0)", "open(RUNTIME + '/x', 'w')", "os.rmdir(RUNTIME + '/work')"), "EROFS", None),
    Probe("a link to what is outside of it", all_of("os.link(READABLE, 'x')", "os.rename(SECRET, 'x')"), "EXDEV", None),
    Probe("the devices that Python needs", "open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(1)", "done"),
    Probe("the work folder", "import shutil\nopen('a', 'w').write('x'); shutil.copy2('a', 'b'); os.chmod('b', 0o600); os.utime('b'); os.remove('a'); os.remove('b')", "done"),
    Probe("a temporary file", "import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('x')", "done"),
    Probe("a file of a terabyte", "f = open('big', 'wb')\ntry: f.truncate(10**12)\nfinally: os.remove('big')", "EFBIG", None),
    Probe("a full disk", "try:\n    for k in range(3): open(f'big{k}', 'wb').write(bytes(30 * 2**20))\nfinally: [os.remove(p) for p in glob.glob('big*')]", "ENOSPC", None),
    Probe("very many files", "try:\n    for k in range(5000): open(f'f{k}', 'w').close()\nfinally: [os.remove(p) for p in glob.glob('f[0-9]*')]", "ENOSPC"),
]  # fmt: skip
PROCESSES = [
    Probe("it is alone", "found = os.getpid(), os.getppid()", "(1, 0)", None),
    Probe("signals to others", "os.kill(HERE, 0)", "ESRCH"),
    Probe("priority of others", "os.getpriority(os.PRIO_PROCESS, HERE)", "ESRCH"),
    Probe("fork", "if not os.fork(): os._exit(0)", "EPERM"),
    Probe("vfork and exec", all_of("call(58)", "os.execv('/bin/sh', ['sh', '-c', 'true'])", "call(322, -100, b'/bin/true', 0, 0, 0)"), "EPERM", None),
    Probe("a program", "subprocess.run(['true'])", "EPERM"),
    Probe("posix_spawn", "os.posix_spawn('/usr/bin/true', ['true'], {})", "EPERM"),
    Probe("a shell", "found = os.system('true')", "32512", "0"),
    Probe("multiprocessing", "import multiprocessing as m; p = m.get_context('fork').Process(target=int); p.start(); p.join()", "EPERM"),
    Probe("a new process by clone", "call(56, signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)", "EPERM"),
    Probe("clone with namespaces", "call(56, 0x10000011, 0, 0, 0, 0) or os._exit(0)", "EPERM"),
    Probe("clone3 of any kind", "call(435, ctypes.create_string_buffer(88), 88) or os._exit(0)", "ENOSYS"),
    Probe("a thread", "t = threading.Thread(target=int); t.start(); t.join()", "done"),
    Probe("ptrace", "call(101, 0, 0, 0, 0)", "EPERM"),
    Probe("the memory of a process", all_of("call(310, 1, 0, 0, 0, 0, 0)", "call(311, 1, 0, 0, 0, 0, 0)"), "EPERM", None),
    Probe("pidfd_open", "call(434, os.getpid(), 0)", "EPERM"),
    Probe("living on when the parent dies", "call(157, 1, 0, 0, 0, 0)", "EPERM"),
]  # fmt: skip
SOCKETS = [
    Probe("TCP", "socket.create_connection(('127.0.0.1', PORT))", "EPERM"),
    Probe("UDP", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "EPERM"),
    Probe("names of hosts", "socket.getaddrinfo('python.org', 80)", "gaierror", None),
    Probe("netlink", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", "EPERM"),
    Probe("a unix socket", "socket.socket(socket.AF_UNIX).connect(OTHERS + '/listens')", "EPERM"),
    Probe("an abstract unix socket", "socket.socket(socket.AF_UNIX).connect(ABSTRACT)", "EPERM"),
    Probe("a pair of datagrams", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'harm', OTHERS + '/hears')", "EPERM"),
    Probe("a raw pair is one of datagrams", "socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b'harm', OTHERS + '/hears')", "EPERM"),
    Probe("a pair of streams", "a, b = socket.socketpair(); a.send(b'x')", "done"),
    Probe("which listens or connects", all_of("socket.socketpair()[0].bind('s')", "socket.socketpair()[0].listen()", "socket.socketpair()[0].connect(ABSTRACT)"), "EPERM", None),
]  # fmt: skip
ESCAPES = [
    Probe("a new user namespace", "if libc.unshare(0x10000000): raise OSError(ctypes.get_errno(), '')", "EPERM"),
    Probe("another's namespace", "call(308, 0, 0)", "EPERM", None),
    Probe("mount", all_of("call(165, b'proc', b'/', b'proc', 0, 0)", "call(165, 0, b'.', 0, 32, b'size=1g')", "call(166, b'.', 2)"), "EPERM", None),
    Probe("mount, the new calls", all_of("call(430, b'tmpfs', 0)", "call(433, -100, b'.', 0)", "call(428, -100, b'/', 1)", "call(429, -1, b'', -100, b'.', 4)", "call(442, -100, b'/', 0, ctypes.create_string_buffer(32), 32)"), "EPERM", None),
    Probe("pivot_root and chroot", all_of("call(155, b'.', b'.')", "os.chroot('.')"), "EPERM", None),
    Probe("no capability, and none to gain", "data = ctypes.create_string_buffer(24); call(125, struct.pack('Ii', 0x20080522, 0), data); found = sum(data.raw), sum(libc.prctl(23, c, 0, 0, 0) == 1 for c in range(64)), libc.prctl(39, 0, 0, 0, 0)", "(0, 0, 1)", None),
    Probe("no capability in its threads", "data = ctypes.create_string_buffer(24); t = threading.Thread(target=lambda: call(125, struct.pack('Ii', 0x20080522, 0), data)); t.start(); t.join(); found = sum(data.raw)", "0", None),
    Probe("another user", "os.setresuid(0, 0, 0); os.setresuid(1, 1, 1)", "EPERM|EINVAL", None),
    Probe("a device", "os.mknod('disk', 0o60600, os.makedev(8, 0))", "EPERM", None),
    Probe("the host's name and clock", all_of("socket.sethostname('x')", "time.clock_settime(0, 0)"), "EPERM", None),
    Probe("code from a written file", "f = open('code', 'w+b'); f.write(bytes(4096)); f.flush(); mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)", "EPERM"),
    Probe("memfd_create", "os.memfd_create('x')", "EPERM"),
    Probe("System V shared memory, queues, semaphores", all_of("call(29, 0, 4096, 0o1600)", "call(68, 0, 0o1600)", "call(64, 0, 1, 0o1600)"), "EPERM", None),
    Probe("a POSIX queue", "call(240, b'q', 0o102, 0o600, 0)", "EPERM", None),
    Probe("keys", all_of("call(250, 0, -1, 1)", "call(248, b'user', b'x', b'x', 1, -2)"), "EPERM", None),
    Probe("bpf, perf, userfaultfd, io_uring", all_of("call(321, 0, ctypes.create_string_buffer(64), 64)", "call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)", "call(323, 0)", "call(425, 8, ctypes.create_string_buffer(200))"), "EPERM", None),
]  # fmt: skip
MESSAGES = [
    Probe("flock", "fcntl.flock(open(READABLE), fcntl.LOCK_SH)", "EPERM"),
    Probe("record locks", "fcntl.lockf(open(READABLE), fcntl.LOCK_SH)", "EPERM"),
    Probe("locks of an open file", "fcntl.fcntl(open(READABLE), 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 0, 1, 0))", "EPERM"),
    Probe("who holds a lock", all_of(*(f"fcntl.fcntl(open(READABLE), {n}, struct.pack('hhqqi4x', 1, 0, 0, 1, 0))" for n in (5, 36))), "EPERM"),
    Probe("locks on a device that all share", "fcntl.lockf(open('/dev/null', 'w'), fcntl.LOCK_EX)", "EPERM"),
    Probe("leases", "fcntl.fcntl(open(READABLE), fcntl.F_SETLEASE, fcntl.F_RDLCK)", "EPERM", None),
    Probe("news of a folder", "fcntl.fcntl(os.open('/usr', 0), fcntl.F_NOTIFY, fcntl.DN_ACCESS)", "EPERM"),
    Probe("the flags of a file", "fcntl.fcntl(open(READABLE), fcntl.F_GETFL)", "done"),
    Probe("inotify", all_of("call(253)", "call(294, 0)"), "EPERM"),
    Probe("fanotify", "call(300, 0, 0)", "EPERM", None),
    Probe("epoll and eventfd, which the kernel needs", "import select; select.epoll().close(); os.close(os.eventfd(0))", "done"),
]  # fmt: skip
LIMITS = [
    Probe("memory of Python", "x = bytearray(4 * 2**30)", "MemoryError", None),
    Probe("memory of torch", "import torch; x = torch.ones(2**30)", "RuntimeError", None),
    Probe("memory that is needed", "import torch; x = torch.ones(2**27)", "done", None),
    Probe("open files", "fs = []\ntry:\n    while True: fs.append(os.open('/dev/null', 0))\nfinally: [os.close(f) for f in fs]", "EMFILE", None),
    Probe("limits are raised", "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError", None),
]  # fmt: skip
THREADS = Probe("threads", "go = threading.Event(); ts = [threading.Thread(target=go.wait, daemon=True) for _ in range(600)]\ntry:\n    threading.stack_size(65536); [t.start() for t in ts]\nfinally: go.set()", "RuntimeError")  # fmt: skip
MODULES = ["torch.optim.adam", "torch.optim.sgd", "torch.optim.rmsprop", "torch.optim.optimizer", "torch.optim.lr_scheduler", "lecture_utils.stacked"]  # fmt: skip
IMPORT = f"import importlib, inspect, linecache, pkgutil, runpy, tokenize, torch\nms = [importlib.import_module(m) for m in {MODULES!r}]\n"
RULES = [
    Probe("their files", IMPORT + "found = [m for m in ms for p in {m.__file__, m.__cached__} if attempt('open(p, \"rb\")', {'p': p}) == 'done']", "[]", None),
    Probe("their folder", "import torch; found = os.listdir(os.path.dirname(torch.__file__) + '/optim')", "[]", None),
    Probe("their sources by inspect", IMPORT + all_of(*(f"import inspect; inspect.getsource(sys.modules[{m!r}])" for m in MODULES)), "OSError"),
    Probe("a class's source", "import torch, inspect; inspect.getsource(torch.optim.Adam)", "OSError"),
    Probe("their lines by linecache", IMPORT + "found = [linecache.getline(m.__file__, n) for m in ms for n in (1, 9)]; found = len(''.join(found)) > 0", "False", "True"),
    Probe("tokens of their lines", IMPORT + "[tokenize.open(m.__file__) for m in ms]", "ENOENT"),
    Probe("a module by its specification", "import importlib.util as u, sys\nkept = dict(sys.modules)\ntry: found = [u.find_spec(m) for m in ('torch.optim.adamw', 'torch.optim.sgd') if sys.modules.pop(m) and u.find_spec(m)]\nfinally: sys.modules.update(kept)", "[]", None),
    Probe("a module by its file", "import importlib.util as u, torch\ns = u.spec_from_file_location('torch.optim.mine', os.path.dirname(torch.__file__) + '/optim/adam.py'); s.loader.exec_module(u.module_from_spec(s))", "ENOENT"),
    Probe("compiled, by its file", "import importlib.machinery as m, torch\nm.SourcelessFileLoader('mine', os.path.dirname(torch.__file__) + '/optim/__pycache__/adam.cpython-311.pyc').get_code('mine')", "ENOENT", None),
    Probe("pkgutil.get_data", "import pkgutil; pkgutil.get_data('torch.optim', 'adam.py')", "ENOENT"),
    Probe("importlib.resources", "import importlib.resources as r; r.files('torch.optim').joinpath('adam.py').read_text()", "ENOENT"),
    Probe("zipimport", "import torch, zipimport; zipimport.zipimporter(os.path.dirname(torch.__file__) + '/optim')", "ZipImportError", None),
    Probe("runpy", "import runpy, torch; runpy.run_path(os.path.dirname(torch.__file__) + '/optim/sgd.py', run_name='torch.optim.mine')", "ENOENT", None),
    Probe("run as a module", "import runpy; runpy.run_module('torch.optim.sgd')", "ENOENT", None),
    Probe("loader.get_source", IMPORT + "ms[0].__spec__.loader.get_source('torch.optim.adam')", "ImportError"),
    Probe("scikit-learn's, by file and by inspect", "import sys, inspect, importlib\nm = importlib.import_module('sklearn.neural_network._stochastic_optimizers')\n" + all_of("open(m.__file__).read()", "open(os.path.dirname(m.__file__) + '/tests/test_stochastic_optimizers.py').read()").replace("names)", "{'m': m, **names})"), "EACCES"),
    Probe("of torch.distributed", "import torch; found = os.listdir(os.path.dirname(torch.__file__) + '/distributed/optim')", "[]", None),
    # The rest spoils the modules of the kernel.
    Probe("reload of a module", IMPORT + "importlib.reload(sys.modules['torch.optim.adam'])", "ModuleNotFoundError"),
    Probe("reload of ours", IMPORT + "importlib.reload(sys.modules['lecture_utils.stacked'])", "ModuleNotFoundError"),
    Probe("reload of the package", "import importlib, torch; before = torch.optim.Adam.step.__code__; importlib.reload(torch.optim); found = torch.optim.Adam.step.__code__ is before", "True", None),
    Probe("a second import", "import sys, torch.optim\nkept = dict(sys.modules)\ntry:\n    for m in [m for m in kept if m.startswith('torch.optim')]: sys.modules.pop(m)\n    import torch.optim.adam\nfinally: sys.modules.update(kept)", "ModuleNotFoundError", None),
]  # fmt: skip
WORKS = [
    Probe("training with an optimizer and a schedule", "import torch\nw = torch.nn.Parameter(torch.ones(3)); o = torch.optim.Adam([w]); s = torch.optim.lr_scheduler.LambdaLR(o, lambda t: 0.9**t)\nfor _ in range(3): o.zero_grad(); (w**2).sum().backward(); o.step(); s.step()\nfound = round(o.param_groups[0]['lr'], 6)", "0.000729", "0.000729"),
    Probe("every optimizer of torch", "import torch\nfor n in ('SGD', 'Adam', 'AdamW', 'Adagrad', 'RMSprop', 'Adadelta', 'NAdam', 'RAdam', 'Adamax', 'ASGD', 'Rprop'):\n    w = torch.nn.Parameter(torch.ones(3)); o = getattr(torch.optim, n)([w]); w.sum().backward(); o.step(); assert (w < 1).all()", "done"),
    Probe("a subclass of Optimizer", "import torch\nclass Mine(torch.optim.Optimizer):\n    def step(self): [p.data.sub_(p.grad) for g in self.param_groups for p in g['params']]\nw = torch.nn.Parameter(torch.ones(1)); o = Mine([w], {}); w.sum().backward(); o.step(); found = w.item()", "0.0", "0.0"),
    Probe("averaged weights", "import torch; from torch.optim.swa_utils import AveragedModel, SWALR; AveragedModel(torch.nn.Linear(1, 1))", "done"),
    Probe("scikit-learn's network", "import warnings; warnings.simplefilter('ignore')\nfrom sklearn.neural_network import MLPClassifier; MLPClassifier((2,), max_iter=2).fit([[0.0], [1.0]], [0, 1])", "done"),
    Probe("the digits", "from lecture_utils.data import digits; digits('cpu')", "done", None),
    Probe("a picture", "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.title('$x^2$'); plt.savefig(io.BytesIO()); plt.close()", "done"),
    Probe("lines of an error in torch", "import linecache, torch; found = bool(linecache.getline(torch.nn.functional.__file__, 1))", "True", "True"),
]  # fmt: skip
READABLE = ROOT / "lecture_utils" / "devices.py"
PROBES = [*FILES, *PROCESSES, *SOCKETS, *ESCAPES, *MESSAGES, *LIMITS, *WORKS, *RULES]


class Kernel:
    """A kernel of the fork server, and what is around it."""

    def __init__(self, known: dict, locked: bool = True):
        self.manager = GradingKernelManager()
        self.manager.write_connection_file()
        self.runtime = Path(self.manager.connection_file).parent
        self.known, self.how = {**known, "RUNTIME": str(self.runtime)}, "attempt" if locked else "in_a_child"
        request = {"connection_file": self.manager.connection_file, "runtime": str(self.runtime)}
        request |= {"sandbox": locked, "course": str(ROOT)}
        self.process = Forked(server.ask(request)["pid"])
        self.client, self.loop = self.manager.client(), asyncio.new_event_loop()
        self.client.start_channels()
        self.run(TRY + IN_A_CHILD)

    def run(self, code: str) -> str:
        heard: list[str] = []
        hear = lambda m: heard.append(m["content"].get("text", "") or str(m["content"].get("evalue", "")))  # noqa: E731
        self.loop.run_until_complete(self.client.execute_interactive(code, timeout=60, output_hook=hear))
        return "".join(heard)

    def attempt(self, code: str) -> str:
        told = self.run(f"print('<<' + {self.how}({code!r}, {self.known!r}) + '>>')")
        return told.partition("<<")[2].rpartition(">>")[0] if "<<" in told else told

    def close(self) -> None:
        self.client.stop_channels()
        self.loop.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.runtime)


@pytest.fixture(scope="module")
def known():
    """What is outside: files, and sockets that listen."""
    needs("libseccomp", "sandbox")
    folder = Path(tempfile.mkdtemp(prefix="outside-"))  # pytest's folders have names too long for sockets
    (folder / "secret.txt").write_text("secret")
    (folder / "book.db").touch()
    abstract = f"\0{folder.name}"
    listening = [
        socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM)
    ]
    for at, name in zip(listening, (f"{folder}/listens", f"{folder}/hears", abstract), strict=True):
        at.bind(name)
    network = socket.create_server(("127.0.0.1", 0))
    for at in (listening[0], listening[2]):
        at.listen()
    yield {
        "COURSE": str(ROOT), "SECRET": str(ROOT / "nbgrader_config.py"), "OTHERS": str(folder), "HERE": os.getpid(),
        "READABLE": str(READABLE), "ABSTRACT": abstract, "PORT": network.getsockname()[1],
    }  # fmt: skip
    for at in (*listening, network):
        at.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def kernel(known):
    kernel = Kernel(known)
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def unlocked(known):
    """Each probe runs in a child of it, and may spoil that."""
    kernel = Kernel(known, locked=False)
    yield kernel
    kernel.close()


linux_on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls have other numbers here")


@linux_on_x86
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probe(probe, kernel):
    told = kernel.attempt(probe.code)
    assert told == probe.inside or told in probe.inside.split("|")


@linux_on_x86
@pytest.mark.parametrize("probe", [p for p in PROBES if p.outside is not None], ids=lambda probe: probe.name)
def test_the_same_outside_is_possible(probe, unlocked):
    """A control: the probe sees what it looks for where nothing is forbidden."""
    assert unlocked.attempt(probe.code) == probe.outside


@linux_on_x86
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may have any number of threads")
def test_threads_are_limited(kernel):
    assert kernel.attempt(THREADS.code) == THREADS.inside


def test_nothing_else_has_a_name(kernel):
    """The whole tree, but for what is inside of the folders that are shown on purpose."""
    shown = [*root.shown(ROOT), str(kernel.runtime), "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
    way = {str(p) for name in shown for p in (Path(name), *Path(name).parents)}
    code = f"shown = {shown!r}\nfor folder, folders, files in os.walk('/'):\n"
    code += "    for n in folders + files: print(os.path.join(folder, n))\n"
    code += "    folders[:] = [n for n in folders if os.path.join(folder, n) not in shown]"
    seen = set(kernel.run(code).split("\n")) - {""}
    assert seen <= way
    assert len(seen) > 10


def test_reading_leaves_no_time_of_access(kernel):
    file, was = READABLE, READABLE.stat()
    os.utime(file, ns=(was.st_mtime_ns - 10**9, was.st_mtime_ns))  # before its last change: the next reading counts
    assert kernel.attempt(f"found = len(open({str(file)!r}).read()) > 0") == "True"
    assert file.stat().st_atime_ns == was.st_mtime_ns - 10**9
    file.read_text()
    if file.stat().st_atime_ns == was.st_mtime_ns - 10**9:
        pytest.skip("not tested: nothing here keeps times of access")


def test_nobody_outside_has_heard_or_lost_anything(kernel, known):
    for probe in (*FILES, *SOCKETS):
        kernel.attempt(probe.code)
    assert sorted(p.name for p in Path(known["OTHERS"]).iterdir()) == ["book.db", "hears", "listens", "secret.txt"]
    assert Path(known["SECRET"]).exists()
    assert stat.S_ISSOCK((kernel.runtime / "k-1").stat().st_mode)
    assert not list((kernel.runtime / sandbox.WORK).iterdir())


@pytest.mark.parametrize(
    "code",
    ["b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3'", "b'\\xb8\\x27\\0\\0\\x40\\x0f\\x05\\xc3'"],
    ids=["of 32 bits", "of x32"],
)
@linux_on_x86
def test_a_system_call_of_another_architecture_ends_the_kernel(code, known):
    kernel = Kernel(known)
    call = f"m = mmap.mmap(-1, 4096, prot=7); m.write({code})\n"
    call += "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
    kernel.client.execute(call)
    assert select.select([kernel.process.handle], [], [], 60)[0]
    kernel.close()


# --- machines on which there is no sandbox ----------------------------------------------------------------------------

WHY = "from lecture_utils.instructor.grading import sandbox; print(sandbox.why_not())"
FORBID = "import pyseccomp as s; f = s.SyscallFilter(s.ALLOW); f.add_rule(s.ERRNO({}), '{}'); f.load()\n"


def why_not(code: str = "", *command: str, path: str = "") -> str:
    """What it says after ``code`` in a process of its own."""
    env = {**tools(), "PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT)]))}
    program = [*command, sys.executable, "-P", "-c", code + WHY]
    run = subprocess.run(program, capture_output=True, text=True, env=env, cwd="/")
    return run.stdout.strip() or run.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FORBID.format(errno.EPERM, "unshare"), "unshare is not allowed here: Operation not permitted"),
        (FORBID.format(errno.EACCES, "mount"), "mount is not allowed here: Permission denied"),
        (FORBID.format(errno.ENOSYS, "mount_setattr"), "Linux 5.12 or later is needed"),
        (f"import sys; sys.prefix = {str(ROOT.parent)!r}\n", f"The course lies in {ROOT.parent}, which student code"),
        ("import sys; sys.platform = 'darwin'\n", "The sandbox needs Linux; this is darwin"),
    ],
)
def test_each_missing_layer_has_its_sentence(code, said):
    needs("libseccomp", "sandbox")
    assert said in why_not(code)


def test_without_libseccomp_it_says_how_to_get_it(tmp_path):
    needs("libseccomp", "sandbox")
    (tmp_path / "pyseccomp.py").write_text("raise RuntimeError('Unable to find libseccomp')")
    assert "Unable to find libseccomp. On Debian and Ubuntu: sudo apt install libseccomp2" in why_not(
        path=str(tmp_path)
    )


def test_where_user_namespaces_are_forbidden_it_says_how_to_allow_them():
    needs("libseccomp", "sandbox", "root")
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    said = why_not("", "unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    assert "unshare is not allowed here" in said
    assert "to allow them: sudo sysctl user.max_user_namespaces=10000" in said


def test_an_ordinary_user_has_a_sandbox(tmp_path):
    """Root becomes one, in a mount namespace in which a Python in /root can be read by others."""
    needs("libseccomp", "sandbox", "root")
    (tmp_path / "root").mkdir()
    visible = "set -e; mount --make-rprivate /; mount --bind /root {0}; mount -t tmpfs -o mode=755 tmpfs /root; "
    visible += (
        "for d in $(ls -A {0}); do if [ -d {0}/$d ]; then mkdir /root/$d; mount --bind {0}/$d /root/$d; fi; done; "
    )
    visible += 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    assert why_not("", "unshare", "-m", "sh", "-c", visible.format(tmp_path / "root"), "sh") == ""


def test_a_course_that_student_code_must_be_able_to_read_is_refused():
    place = Path(sys.prefix) / "course"
    assert sandbox.why_not(place).startswith(
        f"The course lies in {sys.prefix}, which student code must be able to read."
    )
