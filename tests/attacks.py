"""Attacks and breakages: what submissions do to be graded better, to harm others, or by accident.

A row is one submission of one notebook. ``__COURSE__`` in its code is the course's folder, ``__OUTSIDE__`` a folder
beside it, ``__MARK__`` a word that no file name outside the submission may contain afterwards.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RIGHT = "def gradient_step(w, grad, lr):\n    return w - lr * grad"
WRONG = "def gradient_step(w, grad, lr):\n    return w * 0 + 12.5"


@dataclass
class Attack:
    """``points`` are deserved. ``change`` gets the notebook as JSON, ``folder`` the folder with the written file."""

    name: str
    first: str = ""  # a cell before the answer
    answer: str | dict[str, str] = WRONG  # to 00's exercise, or by grade id
    last: str = ""  # a cell at the end
    change: Callable[[dict], Any] | None = None
    folder: Callable[[Path], Any] | None = None
    points: float = 0
    notebook: str = "00_start_here"
    student: str = ""  # an odd id
    review: bool = False  # must be shown to the instructor
    blocked: bool = False  # answers right if what it tries is possible: not even then a matter for review
    lost: bool = False  # cannot be graded, and its record says why
    stock: bool = False  # tried on stock nbgrader, too


ATTACKS: list[Attack] = []


def attack(name: str, first: str = "", **more: Any) -> None:
    ATTACKS.append(Attack(name, first, **more))


def breakage(name: str, **more: Any) -> Callable:
    """The right answer in a damaged notebook: keeps its point."""

    def keep(change: Callable[[dict], Any]) -> Callable:
        ATTACKS.append(Attack(name, answer=more.pop("answer", RIGHT), change=change, **{"points": 1, **more}))
        return change

    return keep


# --- forged records ----------------------------------------------------------------------------------------------

# What an attacker can know of the right answer to hidden cases without knowing the rule: nothing. So these send
# records that have the right form, but for the numbers.
FORGE = """
import json, sys
from IPython.display import display, publish_display_data
from lecture_utils.checks import observers as O, traces as T
from lecture_utils.instructor.grading import emit as E
MIME = E.MIME
def job():
    frame = sys._getframe()
    while frame and not (frame.f_code.co_name == "emit" and isinstance(frame.f_locals.get("job"), dict)):
        frame = frame.f_back
    return frame.f_locals["job"]
def record(job, fill=0.0):
    entries = [[[f"step {s + 1}", "w", T.from_numbers(t['w']).mul(0).add(fill).tolist(), s + 1, k]
                for s in range(c["steps"]) for k, t in enumerate(c["start"])] for c in job["cases"]]
    return {"nonce": job["nonce"], "traces": [{"entries": e} for e in entries]}
def send(record):
    display({MIME: record if isinstance(record, str) else json.dumps(record)}, raw=True)
"""
TELL = "def gradient_step(w, grad, lr):\n    {}\n    return w"


def inside(name: str, code: str, first: str = "", **more: Any) -> None:
    """The attack happens while the check calls the function."""
    attack(name, FORGE + first, answer=TELL.format(code.replace("\n", "\n    ")), **more)


inside("record forged: zeros", "send(record(job()))")
inside("record forged and the true one suppressed", "send(record(job())); E.display = lambda *a, **k: None")
inside("record doubled", "send(record(job())); send(record(job()))")
inside(
    "record with public reference numbers copied",
    "send({**record(job()), 'reference': [], 'credit': 1, 'passed': True, 'points': 1})",
)
inside("record of another nonce", "send({**record(job()), 'nonce': '0' * 16}); E.display = lambda *a, **k: None")
for what, value in {
    "non-finite numbers": "float('nan')", "infinite numbers": "float('inf')", "numbers beyond floats": "10**400",
    "numbers as text": "'1.0'", "true for a number": "True", "null for a number": "None", "an object for a number": "{'a': 1}",
    "lists nested 100 000 deep": "'DEEP'", "a number of a million digits": "'LONG'", "ragged lists": "[[1], [1, 2]]",
}.items():  # fmt: skip
    code = f"r = record(job()); r['traces'][0]['entries'][0][2] = {value}; text = json.dumps(r)\n"
    code += "text = text.replace('\"DEEP\"', '[' * 100000 + ']' * 100000).replace('\"LONG\"', '1' * 10**6)\n"
    inside(f"record holds {what}", code + "send(text); E.display = lambda *a, **k: None")
for what, text in {
    "no JSON": "'}{'", "a list": "'[]'", "a number": "'7'", "empty": "''", "null": "'null'", "10 MB": "'[' + '1,' * 5_000_000 + '1]'",
    "100 MB": "'x' * 10**8", "without traces": "json.dumps({'nonce': job()['nonce']})",
    "traces of wrong type": "json.dumps({'nonce': job()['nonce'], 'traces': 'abc'})",
    "a trace too few": "json.dumps({**record(job()), 'traces': record(job())['traces'][1:]})",
    "no trace": "json.dumps({'nonce': job()['nonce'], 'traces': []})",
    "a failure without text": "json.dumps({'nonce': job()['nonce'], 'failed': None})",
    "a failure of wrong type": "json.dumps({'nonce': job()['nonce'], 'failed': [[{}]] * 99999})",
    "a problem of wrong type": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [], 'problem': [1, None, {}]}] * 9})",
    "a problem of 3 MB": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [], 'problem': ['x' * 10**6] * 3}] * 9})",
    "huge tensors": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [['step 1', 'w', [0] * 10**6, 1, 0]]}] * 4})",
}.items():  # fmt: skip
    inside(f"record is {what}", f"text = {text}\nsend(text); E.display = lambda *a, **k: None")
for kind in ("passed", "review", "failed", "misconception"):
    inside(
        f"a problem of the kind {kind}",
        f"send({{'nonce': job()['nonce'], 'traces': [{{'entries': [], 'problem': [{kind!r}, '', '', '']}}] * len(job()['cases'])}})\n"
        "E.display = lambda *a, **k: None",
    )
inside(
    "record fails, then is a number",
    "send({'nonce': job()['nonce'], 'results': [7]}); E.display = lambda *a, **k: None",
)
inside(
    "record sent by display with an id, then updated",
    "h = display({MIME: '{}'}, raw=True, display_id='a'); h.update({MIME: json.dumps(record(job()))}, raw=True)",
)
inside(
    "record sent by a thread, later",
    "import threading, time; r = record(job()); threading.Thread(target=lambda: (time.sleep(.3), send(r))).start(); E.display = lambda *a, **k: None",
)
inside(
    "record sent by an atexit hook",
    "import atexit; r = record(job()); atexit.register(lambda: send(r)); E.display = lambda *a, **k: None",
)
inside(
    "record sent by a post_run_cell hook",
    "r = record(job()); get_ipython().events.register('post_run_cell', lambda *_: send(r)); E.display = lambda *a, **k: None",
)
inside(
    "clear_output after the record",
    "from IPython.display import clear_output; get_ipython().events.register('post_run_cell', lambda *_: clear_output())",
    stock=True,
)
inside("record sent as an execute_result", "get_ipython().displayhook(1.0); E.display = lambda *a, **k: None")
inside("fake score by display hook", "get_ipython().displayhook(1.0)", stock=True)
attack("record replayed from the cell before", FORGE + "send({'nonce': '', 'traces': []})")
for name, code in {
    "emit patched": "E.emit = lambda answer, job: display({MIME: json.dumps({**record(json.loads(job)), 'passed': True})}, raw=True)",
    "perform patched": "E.perform = lambda *a, **k: [T.Trace() for _ in a[2]]",
    "encode patched": "E.encode = lambda trace, text=False: {'entries': [], 'problem': None}",
    "torch.allclose and torch.equal patched": "import torch; torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True",
    "json.dumps patched": "json.dumps = lambda *a, **k: '{}'",
    "IPython's display patched": "import IPython.display as D; D.display = E.display = lambda *a, **k: None",
    "compare patched": "import lecture_utils.checks.judge as J; J.compare = J.judge = lambda *a, **k: J.Verdict('x', True, 'passed', 1.0, '', '')",
    "builtins patched": "import builtins; builtins.all = lambda *a: True; builtins.isinstance, = [lambda *a: True]",
    "sys.settrace changes frames": "sys.settrace(lambda f, e, a: f.f_locals.update(passed=True) and None)",
    "frozen time": "import time; time.monotonic = time.time = lambda: 0.0",
    "excepthook and atexit replaced": "import atexit, os; sys.excepthook = lambda *a: None; atexit.register(os._exit, 0)",
}.items():  # fmt: skip
    attack(name, FORGE + code)
CHECK_PATCHED = (
    "import lecture_utils.checks as c, lecture_utils.checks.notebook as n\nc.check = n.check = check = lambda *a: None"
)
attack("check replaced by one that passes", CHECK_PATCHED, stock=True)
attack(
    "an object that equals everything",
    answer="class All:\n    def __eq__(self, o): return True\n    def __sub__(self, o): return self\n    def __getattr__(self, n): return lambda *a, **k: self\ndef gradient_step(w, grad, lr):\n    return All()",
)
attack(
    "a tensor subclass that equals everything",
    "import torch\nclass All(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None):\n        return True if 'close' in f.__name__ or 'eq' in f.__name__ else torch.Tensor.__torch_function__.__func__(cls, f, types, args, kwargs or {})",
    answer="def gradient_step(w, grad, lr):\n    return w.as_subclass(All)",
)
attack(
    "run_cell blanked: nothing raises",
    "ip = get_ipython(); old = ip.run_cell\nasync def blank(raw, *a, **k):\n    return await rc('pass' if 'gradient_step' in raw else raw, *a, **k)\nrc = ip.run_cell_async; ip.run_cell_async = blank",
    stock=True,
)
attack(
    "an input transformer blanks cells",
    "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'] if any('gradient_step' in l for l in lines) and not any('def' in l for l in lines) else lines)",
    stock=True,
)
attack(
    "an AST transformer drops all",
    "import ast\nclass Drop(ast.NodeTransformer):\n    def visit_Module(self, n):\n        n.body = [ast.Pass(lineno=1, col_offset=0)] if 'gradient_step' in ast.dump(n) and 'FunctionDef' not in ast.dump(n) else n.body\n        return n\nget_ipython().ast_transformers.append(Drop())",
    stock=True,
)
attack("stdout tells a score", "print(1.0)", answer=WRONG + "\nprint('1.0')")

# --- messages that should upset the trusted process ------------------------------------------------------------------

RAW = """
import json, time, threading, zmq
from IPython import get_ipython
K = get_ipython().kernel
def parent():
    return K.get_parent("shell")
def wire(kind, content, parent_header=None, header=None, buffers=(), sign=True, raw=None):
    s = K.session
    h = {**s.msg_header(kind), **(header or {})}
    parts = [json.dumps(x, default=str).encode() if not isinstance(x, bytes) else x for x in
             (h, parent()["header"] if parent_header is None else parent_header, {}, content)]
    if raw is not None:
        parts = raw
    return [b"x", b"<IDS|MSG>", s.sign(parts) if sign else b"0" * 64, *parts, *buffers]
def out(*a, **k):
    K.iopub_thread.send_multipart(wire(*a, **k))
"""


def message(name: str, code: str, **more: Any) -> None:
    """The right answer, beside a message that is none: no gain, and the grader goes on; whether it counts is open."""
    attack(
        f"message: {name}",
        RAW,
        answer={"gradient_step-answer": RIGHT.replace("    ", f"    {code}\n    ", 1)},
        points=-1,
        **more,
    )


message("invalid JSON", "out('stream', b'{]')")
message("invalid UTF-8", "out('stream', b'\\xff\\xfe{}')")
message("NaN and Infinity", "out('stream', b'{\"name\": NaN, \"text\": Infinity}')")
message("deeply nested content", "out('stream', b'[' * 200000 + b']' * 200000)")
message("an integer of a million digits", "out('stream', b'1' * 10**6)")
message("content is a list", "out('display_data', [])")
message("content is null", "out('display_data', None)")
message("data is a text", "out('display_data', {'data': 'abc', 'metadata': {}})")
message(
    "data holds objects", "out('display_data', {'data': {'text/plain': {'a': [1]}, 'image/png': 7}, 'metadata': 5})"
)
message("stream of numbers", "out('stream', {'name': 5, 'text': [1, 2]})")
message("error of wrong types", "out('error', {'ename': 1, 'evalue': None, 'traceback': 'abc'})")
message("execute_input with a text as count", "out('execute_input', {'code': 'x', 'execution_count': 'many'})")
message("execute_input without count", "out('execute_input', {})")
message("status without state", "out('status', {})")
message("status idle too early", "out('status', {'execution_state': 'idle'})")
message(
    "header without type",
    "out('stream', {}, raw=[b'{}', json.dumps(parent()['header'], default=str).encode(), b'{}', b'{}'])",
)
message("header is a list", "out('stream', {}, raw=[b'[]', b'[]', b'[]', b'[]'])")
message("parent header is null", "out('stream', {}, parent_header=b'null')")
message("wrong signature", "out('stream', {'name': 'stdout', 'text': 'x'}, sign=False)")
message("too few parts", "K.iopub_thread.send_multipart([b'x', b'<IDS|MSG>', b'0'])")
message("no delimiter", "K.iopub_thread.send_multipart([b'x'] * 50)")
message("ten thousand parts", "K.iopub_thread.send_multipart(wire('stream', {}, buffers=[b'x'] * 10000))")
message("dates that are none", "out('stream', {}, header={'date': '9999-99-99T99:99:99.9Z'})")
message(
    "comm and widgets",
    "[out(k, {'comm_id': 'a', 'target_name': 'jupyter.widget', 'data': {'state': {'_model_module': '@jupyter-widgets/output', 'msg_id': parent()['header']['msg_id']}, 'buffer_paths': [['a']]}}) for k in ('comm_open', 'comm_msg', 'comm_close')]",
)
message("unknown kind", "out('__class__', {'a': 1})")
message(
    "stdin is asked for",
    "K.session.send(K.stdin_socket, 'input_request', {'prompt': 'x', 'password': True}, parent(), ident=parent().get('id', [b'x'])[0] if isinstance(parent(), dict) else b'x')",
)
message(
    "forged replies on the shell",
    "[K.session.send(K.shell_streams[0] if getattr(K, 'shell_streams', None) else K.shell_stream, 'execute_reply', c, parent(), ident=K._parent_ident if isinstance(K._parent_ident, bytes) else None) for c in ({}, [], {'status': 7})]",
)
FLOOD = (
    "def flood(make):\n    end = time.time() + 60\n    while time.time() < end: K.iopub_thread.send_multipart(make())\n"
)
attack(
    "message flood: status of the cell, for a minute",
    RAW
    + FLOOD
    + "ph = {}\ndef go():\n    p = parent()['header']\n    threading.Thread(target=flood, args=(lambda: wire('status', {'execution_state': 'busy'}, p),), daemon=True).start()",
    answer="def gradient_step(w, grad, lr):\n    go()\n    while True: pass",
)
attack(
    "message flood: of strange parents, for a minute",
    RAW
    + FLOOD
    + "threading.Thread(target=flood, args=(lambda: wire('stream', {'name': 'stdout', 'text': 'x'}, {'msg_id': 'no'}),), daemon=True).start()",
    points=0,
)
attack(
    "message flood: 7 MB each",
    RAW
    + FLOOD
    + "big = b'x' * 7_000_000\nthreading.Thread(target=flood, args=(lambda: wire('stream', {}, {'msg_id': 'no'}, buffers=[big]),), daemon=True).start()\ntime.sleep(30)",
)
attack(
    "message flood: one of three thousand parts of 7 MB",
    RAW
    + "big = zmq.Frame(b'x' * 7_000_000)\nK.iopub_thread.send_multipart(wire('stream', {}, {'msg_id': 'no'}, buffers=[big] * 3000), copy=False)\ntime.sleep(30)",
    lost=True,
)
attack("output flood: a million lines", "for i in range(10**6): print('x' * 50)", answer=RIGHT, points=-1, stock=False)
attack("output flood: one line of 100 MB", "print('x' * 10**8)", answer=RIGHT, points=-1)
attack(
    "output flood: stderr",
    "import sys\nfor i in range(3 * 10**5): print('x' * 90, file=sys.stderr)",
    answer=RIGHT,
    points=-1,
)
attack("output flood: 20 000 displays", "for i in range(20000): display(i)", answer=RIGHT, points=-1)
attack(
    "a warning on stderr",
    "import sys, warnings; warnings.warn('old'); print('x', file=sys.stderr)",
    answer=RIGHT,
    points=1,
)

# --- looking and reaching outside -------------------------------------------------------------------------------------

LOOK = """
import os, sys, glob, socket, ctypes
def seen():
    found = []
    for p in PATHS:
        for q in glob.glob(p) or [p]:
            try:
                with open(q, "rb") as f: text = f.read(200)
                if b"@@" not in text: found.append(q)
            except OSError: pass
            try:
                if os.path.isdir(q) and os.listdir(q): found.append(q + "/")
            except OSError: pass
    return found
def answer(w, grad, lr): return w - lr * grad
"""


def looking(name: str, paths: str, **more: Any) -> None:
    """Gets the right answer only if something could be read."""
    attack(
        f"read {name}",
        LOOK + f"PATHS = {paths}\nlooked = seen()\ngradient_step = answer if looked else None\nprint(looked)",
        answer="ok = bool(looked)" + "\n" + WRONG.replace("return", "return w - lr * grad if ok else"),
        blocked=True,
        **more,
    )


looking("the gradebook", "['__COURSE__/gradebook.db']", stock=True)
looking("the secret", "['__COURSE__/grading_secret']")
looking(
    "source and rubrics",
    "['__COURSE__/source/*/*', '__COURSE__/source/*/rubrics/*', '../../../source/lecture12/checks.json', '__COURSE__/source/lecture12']",
    stock=True,
)
looking("solutions", "['__COURSE__/solutions/*/*', '../../../solutions/*']", stock=True)
looking(
    "other submissions",
    "['__COURSE__/submitted', '__COURSE__/submitted/*/*/*', '__COURSE__/autograded', '__COURSE__/autograded/*/*/*']",
    stock=True,
)
looking(
    "its own notebook as it is graded",
    "['00_start_here.ipynb', '*.ipynb', '../*', '__COURSE__/autograded/.staging/*/*/*/*']",
)
looking(
    "the environment of processes",
    "['/proc/self/environ', '/proc/1/environ', '/proc/*/environ', '/proc/*/cmdline', '/proc/self/maps', '/proc/self/fd', '/proc']",
)
looking(
    "home, /etc, /tmp, /sys, /run, /var",
    "['/root', os.path.expanduser('~root/.bashrc'), '/etc/passwd', '/etc/shadow', '/tmp', '/sys/kernel', '/run', '/var', '/home', '/work', '/dev/shm', '/']",
)
looking("a file outside", "['__OUTSIDE__/secret.txt']")
looking(
    "other kernels' sockets and keys",
    "['/tmp/grading-*/*', '__TMP__/grading-*', '__TMP__/*/kernel.json', '__TMP__', '/tmp/*/kernel.json']",
)
attack(
    "read by a link out of the work folder",
    LOOK
    + "os.symlink('__COURSE__/gradebook.db', 'l'); os.symlink('/proc/self', 'p')\nPATHS = ['l', 'p/environ', 'p/root/etc/passwd', '../../../../../../etc/passwd']\nlooked = seen()",
    blocked=True,
    answer="ok = bool(looked)\n" + WRONG.replace("return", "return w - lr * grad if ok else"),
)
attack(
    "no secret in the environment of the kernel",
    "import os, ctypes\nlooked = [k for k in os.environ if any(x in k.upper() for x in ('KEY', 'TOKEN', 'SECRET', 'NBGRADER', 'PARENT', 'PASS'))]",
    blocked=True,
    answer="ok = bool(looked)\n" + WRONG.replace("return", "return w - lr * grad if ok else"),
)


def reaching(name: str, code: str, **more: Any) -> None:
    """Gets the right answer only if the code runs to its end without an OSError or a false result."""
    body = "import os, sys, socket, ctypes, signal, time, threading, subprocess\ntry:\n" + "".join(
        f"    {x}\n" for x in code.splitlines()
    )
    body += (
        "    ok = True\nexcept (OSError, AssertionError, ValueError, RuntimeError, MemoryError) as e:\n    ok = False"
    )
    attack(name, body, blocked=True, answer=WRONG.replace("return", "return w - lr * grad if ok else"), **more)


reaching("network: TCP", "socket.create_connection(('1.1.1.1', 80), 2)")
reaching("network: UDP and DNS", "socket.getaddrinfo('python.org', 80)")
reaching("network: raw and netlink sockets", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)")
reaching(
    "a listening unix socket outside",
    "s = socket.socket(socket.AF_UNIX); s.connect('__OUTSIDE__/.s.PGSQL.5432'); s.send(b'harm')",
)
reaching(
    "a datagram to a unix socket outside, by a pair",
    "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'harm', '__OUTSIDE__/log')",
)
reaching(
    "a raw unix pair is a datagram pair",
    "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW); a.sendto(b'harm', '__OUTSIDE__/log')",
)
reaching(
    "an abstract unix socket outside", "s = socket.socket(socket.AF_UNIX); s.connect('\\0__MARK__'); s.send(b'harm')"
)
reaching(
    "bind makes files beside the connection file",
    "a, b = socket.socketpair()\na.bind(os.path.dirname(os.getcwd()) + '/__MARK__')",
)
reaching(
    "the kernel's own sockets are moved or removed",
    "d = os.path.dirname(os.getcwd())\n[os.unlink(d + f'/k-{i}') for i in range(1, 6)]",
)
reaching("the connection file is rewritten", "open(os.path.dirname(os.getcwd()) + '/kernel.json', 'w').write('{}')")
reaching("write outside", "open('__OUTSIDE__/__MARK__', 'w').write('harm')")
reaching(
    "write into /tmp, /dev/shm, home, site-packages",
    "ok = 0\nfor d in ('/tmp', '/dev/shm', '/root', '/var/tmp', os.path.dirname(socket.__file__), '__COURSE__', '__COURSE__/lecture_utils', '__TMP__'):\n    try: open(d + '/__MARK__', 'w').write('harm'); ok = 1\n    except OSError: pass\nassert ok",
)
reaching(
    "IPython startup files",
    "ok = 0\nfor d in ('/root/.ipython/profile_default/startup', '__HOME__/.ipython/profile_default/startup'):\n    try: os.makedirs(d, exist_ok=True); open(d + '/__MARK__.py', 'w').write('raise SystemExit'); ok = 1\n    except OSError: pass\nassert ok",
)
reaching(
    "rewrite the submission of the next student",
    "import glob\nfs = glob.glob('__COURSE__/submitted/*/*/*.ipynb')\nopen('__COURSE__/submitted/victim-1/lecture12/00_start_here.ipynb', 'w').write('{}')",
)
reaching("delete the gradebook", "os.remove('__COURSE__/gradebook.db')")
reaching(
    "edit the gradebook",
    "import sqlite3\ntry: sqlite3.connect('__COURSE__/gradebook.db').execute('update grade set manual_score = 1')\nexcept sqlite3.Error as e: raise OSError from e",
)
reaching(
    "lock the gradebook",
    "import sqlite3\ntry: sqlite3.connect('__COURSE__/gradebook.db').execute('begin exclusive')\nexcept sqlite3.Error as e: raise OSError from e",
)
reaching(
    "change, truncate, link, chmod, touch files outside",
    "ok = 0\nfor f in (lambda: os.truncate('__OUTSIDE__/secret.txt', 0), lambda: os.chmod('__OUTSIDE__/secret.txt', 0), lambda: os.utime('__OUTSIDE__/secret.txt'), lambda: os.setxattr('__OUTSIDE__/secret.txt', 'user.a', b'x'), lambda: os.chown('__OUTSIDE__', -1, os.getgid()), lambda: os.link('__OUTSIDE__/secret.txt', 'h'), lambda: os.rename('__OUTSIDE__/secret.txt', 'r'), lambda: os.rename('x', '__OUTSIDE__/__MARK__')):\n    try: f(); ok = 1\n    except OSError: pass\nassert ok",
)
reaching("fork", "pid = os.fork()\nif not pid: time.sleep(60); os._exit(0)")
reaching("a detached process", "subprocess.Popen(['sleep', '61'], start_new_session=True)")
reaching("posix_spawn and exec", "os.execv('/bin/sh', ['sh', '-c', 'sleep 62'])")
reaching(
    "a shell by IPython",
    "assert get_ipython().system('sleep 0') in (None, 0) and get_ipython().user_ns.get('_exit_code') == 0",
)
reaching(
    "multiprocessing",
    "import multiprocessing as m\np = m.get_context('fork').Process(target=time.sleep, args=(60,)); p.start()",
)
reaching("a new namespace", "libc = ctypes.CDLL(None, use_errno=True)\nassert libc.unshare(0x10000000) == 0")
reaching(
    "mount",
    "libc = ctypes.CDLL(None, use_errno=True)\nassert libc.mount(b'proc', os.getcwd().encode(), b'proc', 0, None) == 0",
)
SYSCALL = "libc = ctypes.CDLL(None, use_errno=True)\nassert libc.syscall({}) >= 0"
for what, numbers in {
    "fsopen": "430, b'tmpfs', 0", "fspick": "433, -100, os.getcwd().encode(), 0", "open_tree": "428, -100, b'/', 1",
    "mount_setattr": "442, -100, b'/', 0, ctypes.create_string_buffer(32), 32", "memfd_create": "319, b'x', 0", "io_uring_setup": "425, 8, ctypes.create_string_buffer(200)",
    "bpf": "321, 0, ctypes.create_string_buffer(64), 64", "perf_event_open": "298, ctypes.create_string_buffer(128), 0, -1, -1, 0",
    "userfaultfd": "323, 0", "ptrace": "101, 16, 1, 0, 0", "pidfd_open": "434, 1, 0", "process_vm_readv": "310, 1, 0, 0, 0, 0, 0",
    "clone3": "435, ctypes.create_string_buffer(88), 88", "clone with namespaces": "56, 0x10000011, 0, 0, 0, 0", "keyctl": "250, 0, -1, 1",
    "open_by_handle_at": "304, -100, ctypes.create_string_buffer(16), 0", "x32 getpid": "0x40000000 + 39", "setns": "308, 0, 0", "seccomp listener": "317, 1, 8, ctypes.create_string_buffer(16)",
    "prctl: live on when the parent dies": "157, 1, 0, 0, 0, 0", "shmget": "29, 0, 4096, 0o1600", "inotify outside": "254, libc.inotify_init(), b'__OUTSIDE__', 0x100",
}.items():  # fmt: skip
    reaching(f"system call: {what}", SYSCALL.format(numbers))
reaching(
    "machine code: int 0x80",
    "import mmap\nm = mmap.mmap(-1, 4096, prot=7); m.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))\nf = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nassert f() > 0",
)
reaching(
    "the tmpfs is made larger",
    "libc = ctypes.CDLL(None, use_errno=True)\nassert libc.mount(None, os.getcwd().encode(), None, 32, b'size=1g') == 0",
)
reaching("limits are raised", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))")
reaching("signals to the parent and all others", "os.kill(os.getppid() or 99999, signal.SIGTERM)")
attack("signals to the own process group", "import os, signal\nos.kill(0, signal.SIGSTOP)", answer=RIGHT, points=-1)
attack(
    "kill everything",
    "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.killpg(0, signal.SIGKILL)",
    answer=RIGHT,
    points=-1,
)

# --- using up -----------------------------------------------------------------------------------------------------

attack("an infinite loop", answer="def gradient_step(w, grad, lr):\n    while True: pass", stock=True)
attack("an infinite loop in a cell of its own", "while True: pass", answer=RIGHT, points=1)
attack(
    "a loop that swallows every exception",
    answer="def gradient_step(w, grad, lr):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
)
attack(
    "signals ignored, then a loop",
    "import signal\nfor s in (2, 14, 15): signal.signal(s, signal.SIG_IGN)",
    answer="def gradient_step(w, grad, lr):\n    while True: pass",
)
attack("sleep for an hour", "import time; time.sleep(3600)", answer=RIGHT, points=1)
attack("sys.exit", answer="import sys\ndef gradient_step(w, grad, lr):\n    sys.exit()")
attack("os._exit", answer="import os\ndef gradient_step(w, grad, lr):\n    os._exit(0)")
attack("os._exit in a cell of its own", "import os; os._exit(0)", answer=RIGHT, points=1, stock=True)
attack("segmentation fault", answer="import ctypes\ndef gradient_step(w, grad, lr):\n    ctypes.string_at(0)")
attack("recursion", answer="def gradient_step(w, grad, lr):\n    return gradient_step(w, grad, lr)")
attack(
    "recursion without a limit",
    "import sys; sys.setrecursionlimit(10**9)",
    answer="def gradient_step(w, grad, lr):\n    return gradient_step(w, grad, lr)",
)
attack("memory bomb: Python", "x = []\nwhile True: x.append(bytearray(10**8))", answer=RIGHT, points=-1)
attack("memory bomb: torch", "import torch; x = [torch.ones(10**9) for _ in range(20)]", answer=RIGHT, points=-1)
attack(
    "thread bomb",
    "import threading, time\nthreading.stack_size(32768)\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n    except RuntimeError: break",
    answer=RIGHT,
    points=-1,
)
attack("fork bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: break", answer=RIGHT, points=1)
attack(
    "disk filling",
    "f = open('big', 'wb')\ntry:\n    while True: f.write(b'x' * 10**7)\nexcept OSError: pass",
    answer=RIGHT,
    points=-1,
)
attack(
    "many files",
    "i = 0\ntry:\n    while True:\n        open(f'f{i}', 'w').close(); i += 1\nexcept OSError: pass",
    answer=RIGHT,
    points=-1,
)
attack(
    "all file descriptors",
    "import os\nfs = []\ntry:\n    while True: fs.append(os.open('/dev/null', 0))\nexcept OSError: pass",
    answer=RIGHT,
    points=-1,
)
attack(
    "a sparse file of a terabyte",
    "f = open('big', 'wb')\ntry: f.truncate(10**12)\nexcept OSError: pass",
    answer=RIGHT,
    points=-1,
)
attack(
    "compilation bomb",
    "try: compile('(' * 90 + '1' + ')' * 90 + '**9' * 9, '', 'eval')\nexcept Exception: pass\nx = eval('9' * 9)",
    answer=RIGHT,
    points=-1,
)
attack("an expression too deep to write out again", "x" + ".a" * 1000 + "()", answer=RIGHT, points=1)
attack("regex bomb", "import re; re.match('(a+)+$', 'a' * 40 + 'b')", answer=RIGHT, points=1)
attack(
    "threads that go on after the cell",
    "import threading\ndef spin():\n    while True: pass\n[threading.Thread(target=spin, daemon=False).start() for _ in range(4)]",
    answer=RIGHT,
    points=-1,
)

# --- somebody else's rule -------------------------------------------------------------------------------------------

OPTIM = {
    "torch.optim": ("", "torch.optim.SGD"),
    "torch.optim by an alias": ("import torch.optim as o", "o.SGD"),
    "torch.optim by from-import": ("from torch.optim import SGD as mine", "mine"),
    "torch.optim by getattr": ("", "getattr(getattr(torch, 'optim'), 'SGD')"),
    "torch.optim by getattr, in pieces": ("", "getattr(getattr(torch, 'op' + 'tim'), 'S' + 'GD')"),
    "torch.optim by __dict__": ("", "torch.__dict__['op' + 'tim'].__dict__['S' + 'GD']"),
    "torch.optim by attrgetter": ("from operator import attrgetter", "attrgetter('optim.SGD')(torch)"),
    "torch.optim by sys.modules": ("import sys", "sys.modules['torch.' + 'optim.sgd'].__dict__['S' + 'GD']"),
    "torch.optim by subclasses": ("", "[c for c in torch.optim.Optimizer.__subclasses__() if c.__name__[0] == 'S' and len(c.__name__) == 3][0]"),
    "torch.optim by a helper": ("def helper(p, lr):\n    return torch.optim.SGD(p, lr=lr)", "helper"),
    "torch.optim by a subclass": ("class Mine(torch.optim.SGD):\n    pass", "Mine"),
    "torch.optim kept in an object": ("class Box: pass\nbox = Box()\nbox.it = torch.optim.SGD", "box.it"),
    "torch.optim kept in a dictionary": ("box = {}\nbox['it'] = torch.optim.SGD", "box['it']"),
    "torch.optim put in a list": ("box = []\nbox.append(torch.optim.SGD)", "box[0]"),
    "torch.optim by setattr": ("class box: pass\nsetattr(box, 'it', torch.optim.SGD)", "box.it"),
    "torch.optim by pickle": ("import pickle", "pickle.loads(b'ctorch.optim\\nSGD\\n.')"),
    "torch.optim by a module written to disk": ("open('mine.py', 'w').write('from torch.op' + 'tim import S' + 'GD as M')\nimport sys; sys.path.insert(0, '.')\nimport mine", "mine.M"),
    "torch.optim by exec": ("exec('from torch.op' 'tim import S' 'GD as M')", "M"),
    "torch.optim by importlib": ("import importlib\nM = importlib.import_module('torch.op' + 'tim')", "M.SGD"),
    "torch.optim in a cell with IPython syntax": ("x = %pwd\nfrom torch.optim import SGD as mine", "mine"),
    "torch.optim by frames": ("import sys", "sys._getframe().f_builtins['__imp' + 'ort__']('torch.op' + 'tim').optim.__dict__['S' + 'GD']"),
}  # fmt: skip
USE = "import torch\ndef gradient_step(w, grad, lr):\n    p = torch.nn.Parameter(torch.as_tensor(w).clone()); p.grad = torch.as_tensor(grad).clone()\n    ({} )([p], lr=lr).step()\n    return p.detach()"
for name, (before, use) in OPTIM.items():
    attack(name, "import torch\n" + before, answer=USE.format(use), review=True)
OTHER = "import torch\n" + USE.replace("gradient_step", "other").format("torch.optim.SGD")
for name, replaced in {
    "setattr of the module": "import __main__\n__main__.__setattr__('gradient_step', other)",
    "unittest.mock": "from unittest.mock import patch\npatch('__main__.gradient_step', other).start()",
    "functools": "import functools\nfunctools.update_wrapper(gradient_step, other, ['__co' + 'de__'], [])",
    "%config": "%config InlineBackend.figure_format = self.shell.user_ns.update(gradient_step=other) or 'png'",
    "%load_ext": "sys.path.insert(0, '.'); open('mine.py', 'w').write('def load_ipython_extension(ip): ip.user_ns[\"gradient_step\"] = ip.user_ns[\"other\"]')\n%load_ext mine",
    "a cell too deep to read": "gradient_step = other\nif 0: x" + ".a" * 5000,
}.items():
    attack(
        f"torch.optim put in place by {name}",
        "import sys; sys.setrecursionlimit(10**6)\n" + OTHER,
        answer=f"{WRONG}\n{replaced}",
        review=True,
    )
attack(
    "torch.optim's functional form",
    "import torch\nfrom torch.optim.sgd import _single_tensor_sgd as f",
    answer="def gradient_step(w, grad, lr):\n    w = w.clone()\n    f([w], [grad], [None], None, None, weight_decay=0, momentum=0, lr=lr, dampening=0, nesterov=False, maximize=False, has_sparse_grad=False)\n    return w",
    review=True,
)
attack(
    "lecture_utils.stacked",
    "from lecture_utils import stacked as s\nRULES = getattr(s, 'RULES', None)",
    answer=RIGHT + "\nmine = RULES\ndef gradient_step(w, grad, lr, _r=RULES):\n    return w - lr * grad",
    points=-1,
)
attack(
    "import source",
    "try:\n    import source.lecture12.rubrics.nb00 as r\nexcept ImportError: r = None",
    answer="def gradient_step(w, grad, lr):\n    return r.EXERCISES[0].reference(w, grad, lr)",
)
attack(
    "the answer in a cell tagged demo",
    answer=WRONG,
    change=lambda nb: nb["cells"].append(
        {"cell_type": "code", "metadata": {"tags": ["demo"]}, "source": RIGHT, "outputs": [], "execution_count": None}
    ),
)
attack(
    "public cases learnt by heart",
    "import json, glob, lecture_utils\nseen = []",
    answer="def gradient_step(w, grad, lr):\n    return {}.get(str(w))",
)

# --- secrets on the feedback page -------------------------------------------------------------------------------------

SPY = (
    FORGE
    + "kept = {}\ndef spy():\n    kept.setdefault('it', str([c['start'] for c in job()['cases']]) + str([c.get('grads') for c in job()['cases']]))\n    return kept['it']\n"
)
attack("hidden inputs printed by the check", SPY, answer=TELL.format("print(spy())"))
attack(
    "hidden inputs printed in a later cell",
    SPY,
    answer=TELL.format("spy()"),
    last="print(kept)\nraise ValueError(str(kept))",
)
attack("hidden inputs in an exception's text", SPY, answer=TELL.format("raise ValueError(spy()[-250:])"))
attack("hidden inputs in an exception's name", SPY, answer=TELL.format("raise type(spy()[-300:], (Exception,), {})"))
attack(
    "hidden inputs as reason of failure",
    SPY,
    answer=TELL.format(
        "r = {'nonce': job()['nonce'], 'failed': spy()[-350:]}\n    send(r); E.display = lambda *a, **k: None"
    ),
)
attack(
    "hidden inputs as a label",
    SPY,
    answer=TELL.format(
        "r = record(job()); r['traces'][0]['entries'][0][0] = spy()\n    send(r); E.display = lambda *a, **k: None"
    ),
)
attack(
    "hidden inputs as a place",
    SPY,
    answer=TELL.format(
        "r = record(job()); r['traces'][0] = {'entries': [], 'problem': ['crashed', spy()[-300:], '', spy()[-300:]]}\n    send(r); E.display = lambda *a, **k: None"
    ),
)
attack(
    "hidden inputs update an earlier display",
    SPY + "h = display('nothing', display_id='leak')",
    answer=TELL.format("spy(); display(spy(), display_id='leak')"),
    last="h.update(str(kept)); display(str(kept), display_id='leak')",
)
attack(
    "hidden inputs sent with an earlier parent",
    RAW + SPY + "early = parent()['header']",
    answer=TELL.format("out('stream', {'name': 'stdout', 'text': spy()}, early)"),
    last="out('stream', {'name': 'stdout', 'text': str(kept)}, early)",
)
attack(
    "hidden inputs in a file for the next kernel",
    SPY + "import os\nprint(open('note').read() if os.path.exists('note') else '')",
    answer=TELL.format("open('note', 'w').write(spy()); import os; os._exit(0)"),
    last="print(open('note').read())",
)

# --- scripts for whoever reads the pages --------------------------------------------------------------------------------

SCRIPT = "<script>alert('__MARK__')</script><img src=x onerror=\"alert('__MARK__')\"><iframe src='javascript:alert(1)'></iframe>"


def markdown(source: str) -> Callable[[dict], Any]:
    return lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": source})


attack("script in Markdown", answer=RIGHT, points=1, change=markdown(SCRIPT))
attack(
    "script links in Markdown",
    answer=RIGHT,
    points=1,
    change=markdown(
        "[a](javascript:alert('__MARK__')) [b](javascript&#58;alert`__MARK__`) ![c](x \"onerror=alert`__MARK__`\") <javascript:alert`__MARK__`>\n\n[d]: javascript:alert`__MARK__`\n[d]\n\n$<script>alert('__MARK__')</script>$\n\n```\n</code></pre><script>alert('__MARK__')</script>\n```"
    ),
)
attack(
    "script links in Markdown, split by what a sanitizer takes out",
    answer=RIGHT,
    points=1,
    change=markdown(
        "[a](java<!-- x -->script:alert`__MARK__`) [b](java</b>script:alert`__MARK__`) [c](java</>script:alert`__MARK__`) "
        "[d](javascript&<!---->colon;alert`__MARK__`) [e](data<!-- -->:text/html,__MARK__)"
    ),
)
attack("an attachment split by a comment", answer=RIGHT, points=1, change=markdown("![x](attach<!-- -->ment:a)"))
attack(
    "script in a raw cell",
    answer=RIGHT,
    points=1,
    change=lambda nb: nb["cells"].append(
        {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html", "format": "text/html"}, "source": SCRIPT}
    ),
)
attack(
    "script in outputs",
    "from IPython.display import HTML, Javascript, SVG\n"
    + f"display(HTML({SCRIPT!r}), Javascript('alert(1)//__MARK__'))\ndisplay({{'image/svg+xml': '<svg onload=alert(1)>__MARK__</svg>', 'text/markdown': {SCRIPT!r}, 'text/latex': {SCRIPT!r}, 'image/png': {SCRIPT!r}, 'application/javascript': 'x'}}, raw=True)\nprint({SCRIPT!r})",
    answer=RIGHT,
    points=1,
)
attack(
    "script in a picture's data",
    f"import base64\ndisplay({{'image/png': base64.b64encode(b'\\x89PNG').decode() + '\"' + {SCRIPT!r}, 'text/plain': 'a'}}, raw=True, metadata={{'image/png': {{'width': '1\" onload=\"alert(1)__MARK__', 'alt': {SCRIPT!r}}}}})",
    answer=RIGHT,
    points=1,
)
attack("script in an exception", answer=f"def gradient_step(w, grad, lr):\n    raise ValueError({SCRIPT!r})")
attack("script in a comment and a string", answer=RIGHT + f"\n# {SCRIPT}\nx = {SCRIPT!r}", points=1)


def add_attachment(nb: dict) -> None:
    pictures = {
        "a.svg": {"image/svg+xml": f"<svg>{SCRIPT}</svg>"},
        'x" onerror="alert(1)__MARK__': {"text/html": SCRIPT},
    }
    nb["cells"][0]["attachments"] = pictures  # the text is the course's own
    cell = {"cell_type": "markdown", "metadata": {}, "source": "![a](attachment:a.svg)", "attachments": pictures}
    nb["cells"].append(cell)


def bad_metadata(nb: dict) -> None:
    nb["metadata"] |= {
        "title": SCRIPT,
        "language_info": {"name": f'x"></div>{SCRIPT}', "pygments_lexer": f'x">{SCRIPT}'},
        "widgets": {
            "application/vnd.jupyter.widget-state+json": {"state": {"a": {"model_name": f"</script>{SCRIPT}"}}}
        },
        "authors": [{"name": SCRIPT}],
    }
    for k, cell in enumerate(nb["cells"]):
        cell["metadata"] |= {
            "tags": [
                *[t for t in cell["metadata"].get("tags", []) if t != "x"],
                'a"><script>alert("__MARK__")</script>'.replace(" ", ""),
            ],
            "collapsed": SCRIPT,
        }
        cell["id"] = f'a{k}"><script>alert("__MARK__")</script>'


for what, source in {
    "a fence and 60 000 empty lines": "```" + "\n" * 60_000,
    "an entity of an entity, 150 000 deep": "&" + "amp;" * 150_000,
}.items():
    attack(f"Markdown of {what}", answer=RIGHT, points=1, change=markdown(source))
attack("1500 names for one thing", "=".join(f"a{k}" for k in range(1500)) + "=1", answer=RIGHT + "\na0", points=1)
attack("script in attachments", answer=RIGHT, points=1, change=add_attachment)
attack("script in metadata, tags and ids", answer=RIGHT, points=1, change=bad_metadata)

# --- the folder ---------------------------------------------------------------------------------------------------------


def file(name: str, text: str | bytes = "x") -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    return write


def link(name: str, target: str, replace: bool = False) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        course = folder.parents[2]
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target.replace("__COURSE__", str(course)))

    return make


attack("ships lecture_utils/", answer=WRONG, folder=file("lecture_utils/__init__.py", "raise SystemExit"))
attack(
    "ships numpy/ and torch.py",
    answer=RIGHT,
    points=1,
    folder=lambda f: (file("numpy/__init__.py", "raise SystemExit")(f), file("torch.py", "raise SystemExit")(f)),
)
attack(
    "ships sitecustomize.py and conftest.py",
    answer=RIGHT,
    points=1,
    folder=lambda f: [
        file(n, "import os; os._exit(1)")(f)
        for n in ("sitecustomize.py", "usercustomize.py", "conftest.py", "nbgrader_config.py", "ipython_config.py")
    ],
)
attack("ships checks.json", answer=WRONG, folder=file("checks.json", "{}"))
attack(
    "a link to another's notebook",
    answer=WRONG,
    lost=True,
    folder=link("00_start_here.ipynb", "__COURSE__/submitted/victim-1/lecture12/00_start_here.ipynb"),
    stock=True,
)
VICTIM = "submitted/victim-1/lecture12/00_start_here.ipynb"


def planted(name: str, target: str, then: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A link beside the assignment's folder, where grading might write."""
    return lambda f: ((f.parent / name).symlink_to(f.parents[2] / target), then(f))


attack(
    "a link to the rubrics planted beside the folder",
    answer=RIGHT,
    points=1,
    folder=planted(".lecture12.set_aside", "source/lecture12/rubrics", file("nb99.py.ipynb", "raise SystemExit")),
)
attack(
    "a link to another's notebook planted beside the folder",
    answer=RIGHT,
    points=1,
    folder=planted(".lecture12.00_start_here.ipynb.as_handed_in", VICTIM,
                   lambda f: reencoded(lambda b: b.decode().encode("utf-16"))(f)),
)  # fmt: skip
attack(
    "the folder is a link to another's",
    lost=True,
    folder=lambda f: (shutil.rmtree(f), f.symlink_to(f.parents[2] / "submitted/victim-1/lecture12")),
)
attack(
    "a hard link to the solution",
    lost=True,
    folder=lambda f: (
        (f / "00_start_here.ipynb").unlink(),
        os.link(f.parents[2] / "solutions/lecture12/00_start_here.ipynb", f / "00_start_here.ipynb"),
    ),
)
attack("a name that a terminal would obey", answer=RIGHT, points=1, folder=file("\x1b[31m\r.ipynb", "{"))
attack("a link to the gradebook", answer=RIGHT, points=1, folder=link("data.db", "__COURSE__/gradebook.db"))
attack("a link to the course", answer=RIGHT, points=1, folder=link("course", "__COURSE__"))
attack("a link to /dev/zero", answer=RIGHT, points=1, folder=link("zero.txt", "/dev/zero"))
attack("a link to /dev/zero as notebook", lost=True, folder=link("00_start_here.ipynb", "/dev/zero"))
attack("a link to itself", answer=RIGHT, points=1, folder=link("loop", "loop"))
attack("a link to its own parent", answer=RIGHT, points=1, folder=link("loop", ".."))
attack("a named pipe", answer=RIGHT, points=1, folder=lambda f: __import__("os").mkfifo(f / "pipe.ipynb"))
attack("a socket", answer=RIGHT, points=1, folder=lambda f: __import__("os").mknod(f / "socket.txt", 0o140600))
attack(
    "a file called timestamp.txt that is none",
    answer=RIGHT,
    points=1,
    folder=file("timestamp.txt", "<script>not a date"),
)
attack("a timestamp in the future", answer=RIGHT, points=1, folder=file("timestamp.txt", "9999-12-31 23:59:59 UTC"))
attack(
    "a timestamp of 1 MB in UTF-16",
    answer=RIGHT,
    points=1,
    folder=file("timestamp.txt", ("9" * 10**6).encode("utf-16")),
)
ODD_NAMES = ["a\nb.txt", "a'\"b.txt", "ünï😀.txt", "-rf.txt", "a[*?]{b}.txt", "{{7*7}}{% x %}.txt", "x" * 250, "x "]
attack("odd file names", answer=RIGHT, points=1, folder=lambda f: [file(name)(f) for name in ODD_NAMES])
attack(
    "a file name that is no text",
    answer=RIGHT,
    points=1,
    folder=lambda f: open(bytes(f) + b"/\xff\xfe.txt", "w").close(),
)
attack(
    "a notebook name that is no text",
    answer=RIGHT,
    points=1,
    folder=lambda f: __import__("os").rename(f / "00_start_here.ipynb", bytes(f) + b"/\xff\xfe.ipynb"),
)
attack(
    "notebook named with a newline and quotes",
    answer=RIGHT,
    points=1,
    folder=lambda f: (f / "00_start_here.ipynb").rename(f / "my\n'\"[*] work.ipynb"),
)
attack(
    "a folder called 00_start_here.ipynb",
    answer=RIGHT,
    points=1,
    folder=lambda f: ((f / "00_start_here.ipynb").rename(f / "x.ipynb"), (f / "00_start_here.ipynb").mkdir()),
)
attack(
    "a notebook named with sixty digits",
    answer=RIGHT,
    points=1,
    folder=file("1" * 60 + "x.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'),
)
attack("folders nested 200 deep", answer=RIGHT, points=1, folder=file("/".join(["d"] * 200) + "/x.txt"))
attack("an unreadable file", answer=RIGHT, points=1, folder=lambda f: (file("x.bin")(f), (f / "x.bin").chmod(0)))
attack("2000 files", answer=RIGHT, points=1, folder=lambda f: [file(f"many/{i}")(f) for i in range(2000)])
for odd in ["-n", "a b", "o'brien\"", "ünï😀", "{student_id}", "%s%n", "<script>", "$(touch x)"]:
    attack(f"student {odd}", answer=RIGHT, points=1, student=odd)
for odd in ["[abc]", "*", "a\nb", "..x", ".records"]:  # nbgrader takes them for patterns or its own: refused
    attack(f"student {odd!r}", answer=RIGHT, points=0, student=odd, lost=True)

# --- breakages of the notebook ------------------------------------------------------------------------------------------


def cell(nb: dict, name: str = "gradient_step") -> dict:
    return next(c for c in nb["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def copied(nb: dict, name: str) -> None:
    nb["cells"].insert(nb["cells"].index(cell(nb, name)) + 1, json.loads(json.dumps(cell(nb, name))))


breakage("check cell duplicated", stock=True)(lambda nb: copied(nb, "gradient_step"))
breakage("answer cell duplicated", stock=True)(lambda nb: copied(nb, "gradient_step-answer"))
for version in ("x", 1, 99, None, -1, 2.5, [3], True):
    breakage(f"schema version {version!r}", stock=repr(version) == "1")(
        lambda nb, v=version: cell(nb)["metadata"]["nbgrader"].update(schema_version=v)
    )
breakage("schema version 99 of the answer")(
    lambda nb: cell(nb, "gradient_step-answer")["metadata"]["nbgrader"].update(schema_version=99)
)
breakage("metadata of the check stripped", stock=True)(lambda nb: cell(nb)["metadata"].pop("nbgrader"))
breakage("metadata of the answer stripped")(lambda nb: cell(nb, "gradient_step-answer")["metadata"].pop("nbgrader"))
breakage("all metadata stripped", stock=True)(lambda nb: [c["metadata"].clear() for c in nb["cells"]])
for what, metadata in {
    "our own key": {"lecture_utils": "x"},
    "our own key and a verdict": {"lecture_utils": {"kind": "review", "points": 9}},
    "a magic language": {"magics_language": ["a"]},
}.items():
    breakage(f"cells with {what} in their metadata")(
        lambda nb, more=metadata: [c["metadata"].update(more) for c in nb["cells"]]
    )
breakage("a grade id that is a list")(lambda nb: nb["cells"][0]["metadata"].update(nbgrader={"grade_id": ["a"]}))
breakage("check cell tagged as a demonstration")(lambda nb: cell(nb)["metadata"].update(tags=["demo"]))
breakage("check cell deleted", stock=True)(lambda nb: nb["cells"].remove(cell(nb)))
breakage("answer cell deleted", answer=WRONG, points=0)(lambda nb: nb["cells"].remove(cell(nb, "gradient_step-answer")))
breakage("all cells deleted", answer=WRONG, points=0)(lambda nb: nb["cells"].clear())
breakage("cells in reverse order", points=-1)(lambda nb: nb["cells"].reverse())
for flag, value in {
    "grade": False, "solution": True, "locked": False, "points": 500, "grade_id": "other", "cell_type": "markdown", "checksum": "0" * 32, "task": True,
}.items():  # fmt: skip
    breakage(f"{flag} of the check set to {value!r:.12}", stock=flag == "grade")(
        lambda nb, f=flag, v=value: cell(nb)["metadata"]["nbgrader"].update({f: v})
    )
for points in (-5, "many", None, 1e308, float("nan")):
    breakage(f"points set to {points!r}")(lambda nb, p=points: cell(nb)["metadata"]["nbgrader"].update(points=p))
breakage("the answer's flags turned to a graded cell")(
    lambda nb: cell(nb, "gradient_step-answer")["metadata"]["nbgrader"].update(grade=True, points=50, locked=True)
)
breakage("grade ids of check and answer exchanged", points=-1)(
    lambda nb: (lambda a, b: (a.update(grade_id="gradient_step-answer"), b.update(grade_id="gradient_step")))(
        cell(nb)["metadata"]["nbgrader"], cell(nb, "gradient_step-answer")["metadata"]["nbgrader"]
    )
)
breakage("a graded cell added", stock=True)(
    lambda nb: nb["cells"].append(
        {
            "cell_type": "code",
            "metadata": {
                "nbgrader": {
                    "grade": True,
                    "solution": False,
                    "locked": True,
                    "grade_id": "bonus",
                    "points": 100,
                    "schema_version": 3,
                    "cell_type": "code",
                }
            },
            "source": "100.0",
            "outputs": [],
            "execution_count": None,
        }
    )
)
breakage("a graded cell without id added")(
    lambda nb: nb["cells"].append(
        {
            "cell_type": "code",
            "metadata": {"nbgrader": {"grade": True, "points": 100}},
            "source": "100.0",
            "outputs": [],
            "execution_count": None,
        }
    )
)
breakage("another exercise's cell added")(
    lambda nb: nb["cells"].append(
        {
            "cell_type": "code",
            "metadata": {
                "nbgrader": {
                    "grade": True,
                    "solution": False,
                    "locked": True,
                    "grade_id": "momentum_step",
                    "points": 3,
                    "schema_version": 3,
                    "cell_type": "code",
                }
            },
            "source": "3.0",
            "outputs": [],
            "execution_count": None,
        }
    )
)
breakage("nbgrader's metadata is a text")(lambda nb: cell(nb)["metadata"].update(nbgrader="x"))
breakage("nbgrader's metadata is null")(lambda nb: cell(nb)["metadata"].update(nbgrader=None))
breakage("check cell turned to Markdown")(
    lambda nb: (cell(nb).update(cell_type="markdown"), cell(nb).pop("outputs"), cell(nb).pop("execution_count"))
)
breakage("answer cell turned to Markdown")(
    lambda nb: (
        cell(nb, "gradient_step-answer").update(cell_type="raw"),
        cell(nb, "gradient_step-answer").pop("outputs"),
        cell(nb, "gradient_step-answer").pop("execution_count"),
    )
)
breakage("check source edited", answer=WRONG, points=0, stock=True)(lambda nb: cell(nb).update(source="1.0"))
breakage("check source edited, right answer")(lambda nb: cell(nb).update(source="check(other)"))
breakage("tag demo on the check cell", points=-1)(lambda nb: cell(nb)["metadata"].update(tags=["demo"]))
breakage("tags are a text")(lambda nb: cell(nb)["metadata"].update(tags="demo"))
breakage("null cells")(lambda nb: nb["cells"].extend([None, 7, "x", [], {}]))
breakage("cells without metadata")(
    lambda nb: nb["cells"].append({"cell_type": "code", "source": "1", "outputs": [], "execution_count": None})
)
breakage("metadata is a list")(
    lambda nb: nb["cells"].append({"cell_type": "code", "metadata": [], "source": "1", "outputs": []})
)
breakage("unknown cell type")(
    lambda nb: nb["cells"].append({"cell_type": "heading", "level": 1, "metadata": {}, "source": "1"})
)
breakage("sources of wrong type")(
    lambda nb: nb["cells"].extend(
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for s in (None, 5, {"a": 1}, [1, None])
    )
)
breakage("outputs of wrong type")(
    lambda nb: nb["cells"].extend(
        {"cell_type": "code", "metadata": {}, "source": "1", "outputs": o, "execution_count": "x"}
        for o in (None, 5, [None], [{}], [{"output_type": "stream"}], [{"output_type": 7}], "x")
    )
)
breakage("no kernelspec")(lambda nb: nb["metadata"].pop("kernelspec", None))
breakage("unknown kernel")(
    lambda nb: nb["metadata"].update(kernelspec={"name": "haskell", "display_name": "H", "language": "haskell"})
)
breakage("wrong language", stock=True)(
    lambda nb: nb["metadata"].update(
        kernelspec={"name": "bash", "display_name": "B", "language": "bash"}, language_info={"name": "bash"}
    )
)
breakage("language_info is a text")(lambda nb: nb["metadata"].update(language_info="python", kernelspec=7))
breakage("metadata null")(lambda nb: nb.update(metadata=None))
breakage("nbformat 5")(lambda nb: nb.update(nbformat=5))
breakage("nbformat is a text")(lambda nb: nb.update(nbformat="4", nbformat_minor="x"))
breakage("nbformat missing")(lambda nb: (nb.pop("nbformat"), nb.pop("nbformat_minor")))
breakage("cell ids doubled")(lambda nb: [c.update(id="same") for c in nb["cells"]])
breakage("cell ids of wrong type")(lambda nb: [c.update(id=7) for c in nb["cells"]])
breakage("a surrogate in the text")(
    lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "\ud800 lone"})
)
breakage("a NUL in the text")(
    lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "a\x00b\x1b[31m"})
)
breakage("a NUL in code", points=1)(
    lambda nb: nb["cells"].insert(
        3, {"cell_type": "code", "metadata": {}, "source": "x = 1\x00", "outputs": [], "execution_count": None}
    )
)
breakage("saved with outputs of the student's own", points=0, answer=WRONG)(
    lambda nb: cell(nb).update(
        outputs=[{"output_type": "execute_result", "data": {"text/plain": "1.0"}, "metadata": {}, "execution_count": 1}]
    )
)
breakage("fake verdict in the metadata", points=0, answer=WRONG)(
    lambda nb: (
        cell(nb)["metadata"].update(lecture_utils={"kind": "passed", "points": 1}),
        nb["metadata"].update(lecture_utils={"seconds": 0}, repairs=["x"], observed={}),
    )
)


def reencoded(how: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        path = folder / "00_start_here.ipynb"
        path.write_bytes(how(path.read_bytes()))

    return change


def version3(folder: Path) -> None:
    import nbformat

    path = folder / "00_start_here.ipynb"
    nbformat.write(nbformat.convert(nbformat.read(path, as_version=4), 3), path, version=3)


for name, how in {
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "UTF-8 with a byte order mark": lambda b: b"\xef\xbb\xbf" + b,
    "Windows line ends": lambda b: b.replace(b"\n", b"\r\n"),
    "Latin-1": lambda b: json.dumps(json.loads(b), ensure_ascii=False).encode("cp1252", "ignore"),
}.items():
    attack(f"notebook in {name}", answer=RIGHT, points=1, folder=reencoded(how))
for name, how in {
    "bad JSON": lambda b: b"{not json", "truncated": lambda b: b[: len(b) // 2], "empty": lambda b: b"", "a list": lambda b: b"[]", "a number": lambda b: b"1e400",
    "nested too deep": lambda b: b"[" * 10**6, "random bytes": lambda b: bytes(range(256)) * 99, "of 60 MB": lambda b: b"[" + b"1," * 30_000_000 + b"1]",
    "a merge conflict": lambda b: b.replace(b"{", b"<<<<<<< HEAD\n{", 1), "a zip": lambda b: b"PK\x03\x04" + b,
}.items():  # fmt: skip
    attack(f"notebook is {name}", answer=RIGHT, points=0, lost=True, folder=reencoded(how), stock=name == "bad JSON")
attack("notebook of nbformat 3", answer=RIGHT, points=1, folder=version3)
attack(
    "notebook of 45 MB",
    answer=RIGHT,
    points=1,
    change=lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "x " * 22_000_000}),
)
attack(
    "notebook renamed",
    answer=RIGHT,
    points=1,
    folder=lambda f: (f / "00_start_here.ipynb").rename(f / "00_start_here (1).ipynb"),
    stock=True,
)
attack(
    "notebook renamed to something else",
    answer=RIGHT,
    points=1,
    folder=lambda f: (f / "00_start_here.ipynb").rename(f / "Übung Müller.ipynb"),
)
attack(
    "notebook in a folder",
    answer=RIGHT,
    points=1,
    folder=lambda f: (
        (f / "my work").mkdir(),
        (f / "00_start_here.ipynb").rename(f / "my work" / "00_start_here.ipynb"),
    ),
)
attack(
    "notebook in upper case",
    answer=RIGHT,
    points=1,
    folder=lambda f: (f / "00_start_here.ipynb").rename(f / "00_START_HERE.IPYNB"),
)

# --- other notebooks ----------------------------------------------------------------------------------------------------

MOMENTUM = "def momentum_step(w, grad, delta, lr, alpha):\n    {}"
attack(
    "04: torch.optim.SGD with momentum",
    notebook="04_momentum_nesterov",
    answer={
        "momentum_step-answer": "import torch\n"
        + MOMENTUM.format(
            "p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()\n    o = torch.optim.SGD([p], lr=1.0, momentum=alpha); o.state[p]['momentum_buffer'] = -delta / 1.0 if False else -delta\n    p.grad = grad * lr; o.step()\n    return p.detach(), -o.state[p]['momentum_buffer']"
        )
    },
    review=True,
)
attack(
    "04: a crash in one exercise, and its text in another",
    SPY,
    notebook="04_momentum_nesterov",
    answer={
        "momentum_step-answer": MOMENTUM.format("spy(); return w - lr * grad, delta"),
        "nesterov_step-answer": "def nesterov_step(*a, **k):\n    raise ValueError(str(kept)[-250:])",
    },
)
RESUME = """
import base64, json, sys
from lecture_utils.checks.observers import resume as R
from lecture_utils.instructor.grading import emit as E
def replace(answer, text):
    job = json.loads(text); results = []
    for k, case in enumerate(job["cases"]):
        if job["turn"] == "save":
            results.append(base64.b64encode(json.dumps(case).encode()).decode())
            continue
        case = {**json.loads(base64.b64decode(job["checkpoints"][k])), **case}
        run = R.Run(case, case["seed"]); run.train(range(case["stop"]))
        back = {"epoch": case["stop"], "digests": run.digests()}
        run.x, run.y = R._examples(case["then"])
        back["losses"] = run.train(range(case["stop"], case["epochs"])); back["end"] = run.digests()["weights"]
        results.append(back)
    E.display({E.MIME: json.dumps({"nonce": job["nonce"], "results": results})}, raw=True)
E.emit = replace
"""
attack(
    "01: what judges batches is replaced, and nothing is shuffled",
    notebook="01_minibatch_noise",
    answer={
        "minibatches-answer": "import torch\nclass Yes:\n    def __getattr__(self, name): return lambda *a, **k: torch.ones((), dtype=bool)\n"
        "torch.isin = lambda *a, **k: torch.ones(3, dtype=bool)\nreal = torch.tensor\n"
        "torch.tensor = lambda x, *a, **k: real(True) if isinstance(x, bool) else real(x, *a, **k)\n"
        "def minibatches(n, batch_size, generator):\n    return torch.arange(n).split(batch_size)"
    },
)
NO_RESUME = {
    "save_checkpoint-answer": "def save_checkpoint(*a):\n    open(a[0], 'w').close()",
    "load_checkpoint-answer": "def load_checkpoint(*a):\n    return 0",
}
attack("03: the resumed run computed in the kernel", RESUME, notebook="03_schedulers", answer=NO_RESUME, review=True)
attack("03: kept in a global variable", "kept = []", notebook="03_schedulers", answer={
    "save_checkpoint-answer": "def save_checkpoint(path, *a):\n    kept.append(a); open(path, 'w').close()",
    "load_checkpoint-answer": "def load_checkpoint(path, model, optimizer, scheduler, generator):\n    m, o, s, e, g = kept[-1]\n    model.load_state_dict(m.state_dict()); optimizer.load_state_dict(o.state_dict()); scheduler.load_state_dict(s.state_dict()); generator.set_state(g.get_state())\n    return e + 1",
})  # fmt: skip
attack("03: a pickle that runs code where it is read", notebook="03_schedulers", answer={
    "save_checkpoint-answer": "import pickle, os\nclass Bomb:\n    def __reduce__(self): return os.system, ('touch __OUTSIDE__/__MARK__',)\ndef save_checkpoint(path, *a):\n    pickle.dump(Bomb(), open(path, 'wb'))",
    "load_checkpoint-answer": "def load_checkpoint(path, *a):\n    import torch\n    torch.load(path, weights_only=False); return 0",
})  # fmt: skip
attack(
    "03: a checkpoint of 60 MB",
    notebook="03_schedulers",
    answer={
        "save_checkpoint-answer": "def save_checkpoint(path, *a):\n    open(path, 'wb').write(b'x' * 60_000_000)",
        "load_checkpoint-answer": NO_RESUME["load_checkpoint-answer"],
    },
)

ATTACKS = [
    a for a in ATTACKS if re.search(os.environ.get("ATTACKS", ""), a.name)
]  # only some, while one is being worked on
