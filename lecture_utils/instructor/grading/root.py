"""A root of its own for a kernel: Python and nothing else that could be named, read-only, all under its usual names.

The texts of the finished rules are left out, and of this package what student code has no use for. A mount that is
read-only keeps no times of access, and nobody inside can change a mount: nobody has a capability there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import site
import struct
import sys
from importlib.util import find_spec
from pathlib import Path

from lecture_utils.environment import ROOT

WORK = "work"  # the folder inside a kernel's runtime folder that student code works in
WORK_BYTES, WORK_FILES = 64 * 2**20, 4096
_READ_ONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8  # to mount, and to change a mount
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 0x1000, 0x4000, 0x40000, 2
_MOUNT_SETATTR, _ALL_BELOW = 442, 0x8000  # a system call that older libraries have no function for, and its flag
_DEVICES = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
_SYSTEM = ["/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache", "/etc/mime.types"]
_FINISHED_RULES = {
    "torch": ["optim", "distributed/optim"],
    "sklearn": ["neural_network/**/*_stochastic_optimizers*"],
    "lecture_utils": ["stacked.py", "__pycache__/stacked.*"],
}


class SandboxError(Exception):
    """Why student code cannot be locked in on this machine."""


def change_root(runtime: Path, course: Path) -> None:
    """Make a root of what Python needs, leave the machine's for it, and go to the work folder. All under the same names."""
    call("mount", b"none", b"/", None, _PRIVATE | _RECURSIVE, None)
    work = root = str(runtime / WORK)
    _tmpfs(root, "size=1m,mode=755")
    names = shown(course)
    for name in [*names, *filter(os.path.exists, _DEVICES)]:
        _show(name, root)
    for path in filter(os.path.exists, _hidden(root)):
        if os.path.isdir(path):
            _tmpfs(path, "size=4k,mode=555")
        else:
            _bind("/dev/null", path)  # cannot be opened there
    os.makedirs(root + str(runtime), exist_ok=True)
    _restrict(root, _READ_ONLY | _NOSUID, _ALL_BELOW)
    for name in names:
        if not os.path.islink(root + name):
            _restrict(root + name, _NODEV, _ALL_BELOW)
    _bind(str(runtime), root + str(runtime), 0)
    os.chdir(root)
    call("pivot_root", b".", b".")  # the machine's root now lies upon ours …
    call("umount2", b".", _DETACH)  # … and is taken away
    _tmpfs(work, f"size={WORK_BYTES},nr_inodes={WORK_FILES},mode=700")
    os.chdir(work)


def shown(course: Path) -> list[str]:
    """The Python environment, this package, and what else is on sys.path unless a course is in it: the outermost names."""
    courses = [ROOT, Path(os.path.realpath(course))]
    environment = [*_SYSTEM, sys.prefix, sys.base_prefix, str(ROOT / "lecture_utils")]
    more = [os.path.abspath(p) for p in [*sys.path, site.getusersitepackages()] if p]
    more = [p for p in more if not any(c.is_relative_to(os.path.realpath(p)) for c in courses)]
    names = [os.path.abspath(p) for p in [*environment, *more] if os.path.exists(p)]
    outermost: list[str] = []
    for name in sorted({*names, *map(os.path.realpath, names)}):
        if not any(Path(name).is_relative_to(other) for other in outermost):
            outermost.append(name)
    return outermost


def _hidden(root: str) -> list[str]:
    """The part of this package that student code has no use for, and the texts of the finished rules."""
    found = [ROOT / "lecture_utils" / "instructor"]
    for package, patterns in _FINISHED_RULES.items():
        if spec := find_spec(package):
            found += [path for pattern in patterns for path in Path(spec.origin).parent.glob(pattern)]
    return [root + os.path.realpath(path) for path in found]


def _show(name: str, root: str) -> None:
    """The file or folder of this name, seen in the new root, too; a link where it is one, or is reached by one."""
    source, target = os.path.realpath(name), Path(root + name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source != name:
        target.symlink_to(source)
        return
    if os.path.isdir(source):
        target.mkdir()
    else:
        target.touch()
    _bind(source, str(target))


def _bind(source: str, target: str, below: int = _RECURSIVE) -> None:
    call("mount", source.encode(), target.encode(), None, _BIND | below, None)


def _tmpfs(target: str, options: str) -> None:
    call("mount", b"tmpfs", target.encode(), b"tmpfs", _NOSUID | _NODEV | _NOEXEC, options.encode())


def _restrict(path: str, flags: int, below: int = 0) -> None:
    """Add to what a mount forbids, and it may be all mounts below. What the machine forbids stays forbidden."""
    call("syscall", _MOUNT_SETATTR, 0, path.encode(), below, struct.pack("4Q", flags, 0, 0, 0), 32)


def seal(runtime: Path) -> None:
    """Make read-only where the kernel has just made its sockets: from another process, as it has no right to by now."""
    _restrict(str(runtime), _READ_ONLY | _NOSUID | _NODEV | _NOEXEC)


def call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, name)(*values):
        code = ctypes.get_errno()
        if code == errno.ENOSYS:
            raise SandboxError("Linux 5.12 or later is needed")  # mount_setattr is the youngest of our calls
        raise SandboxError(f"{name} is not allowed here: {os.strerror(code)}")
