"""Attacks on the points, and ways to harm a batch: what submissions do to be graded better, or by accident.

A row is what one student does in one notebook. Rows are data; ``test_attacks.py`` packs them into few submissions, and
grades those. Expected of each: no point more than ``points``, no other student touched, no hidden number told.
What a kernel cannot reach is tried in test_sandbox.py, what is in files and folders in test_intake.py and
test_transplant.py, what pages show in test_feedback.py.
"""

import itertools
import os
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Attack:
    """``answers`` {graded function: text of its cell}; ``first`` and ``last`` are own cells at both ends of the notebook."""

    name: str
    notebook: str  # its number
    answers: dict[str, str]
    first: str = ""
    last: str = ""
    points: dict[str, float] = field(default_factory=dict)  # deserved; an exercise that is not named deserves nothing
    may_lose: bool = False  # whether what is deserved may be lost, too
    alone: bool = True  # it changes its kernel: nobody else's attack in there
    mark: bool = False  # it writes the word __MARK__ with a tag around it


ATTACKS: list[Attack] = []


def attack(name: str, notebook: str, answers: dict[str, str], **more) -> None:
    ATTACKS.append(Attack(name, notebook, answers, **more))


GRADIENT = "def gradient_step(w, grad, lr):\n    "
RIGHT, WRONG = GRADIENT + "return w - lr * grad", GRADIENT + "return w * 0 + 12.5"


def on_00(name: str, first: str = "", answer: str = WRONG, **more) -> None:
    """In the smallest notebook, with one exercise."""
    attack(name, "00", {"gradient_step": answer}, first=first, **more)


def beside(name: str, first: str, may_lose: bool = True, **more) -> None:
    """The right answer, and something that may cost it, but nobody else."""
    on_00(name, first, RIGHT, points={"gradient_step": 1}, may_lose=may_lose, **more)


# --- finished rules in the place of an own one ----------------------------------------------------------------------------

# Answers that would be right, if only OPTIMIZER gave them a class of torch.optim that works.
BY_OPTIMIZER = {
    "gradient_step": ("00", "SGD", """
import torch
def gradient_step(w, grad, lr):
    p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()
    (OPTIMIZER)([p], lr=lr).step()
    return p.detach()
"""),
    "momentum_step": ("04", "SGD", """
def momentum_step(w, grad, delta, lr, alpha):
    p = torch.nn.Parameter(w.clone()); p.grad = lr * grad
    o = (OPTIMIZER)([p], lr=1.0, momentum=alpha)
    o.state[p]["momentum_buffer"] = delta.clone(); o.step()
    return p.detach(), o.state[p]["momentum_buffer"]
"""),
    "torch_momentum_step": ("04", "SGD", """
def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()
    o = (OPTIMIZER)([p], lr=lr, momentum=momentum, dampening=dampening)
    if buf is not None: o.state[p]["momentum_buffer"] = buf.clone()
    o.step()
    return p.detach(), o.state[p]["momentum_buffer"]
"""),
    "rmsprop_step": ("05", "RMSprop", """
def rmsprop_step(w, grad, r, lr, beta, eps):
    p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()
    o = (OPTIMIZER)([p], lr=lr, alpha=beta, eps=eps)
    o.state[p].update(step=torch.tensor(1.0), square_avg=r.clone()); o.step()
    return p.detach(), o.state[p]["square_avg"]
"""),
    "adam_step": ("06", "Adam", """
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()
    o = (OPTIMIZER)([p], lr=lr, betas=(beta1, beta2), eps=eps)
    o.state[p].update(step=torch.tensor(float(t)), exp_avg=m.clone(), exp_avg_sq=r.clone()); o.step()
    return p.detach(), o.state[p]["exp_avg"], o.state[p]["exp_avg_sq"], t + 1
"""),
    "adamw_step": ("06", "AdamW", """
def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    p = torch.nn.Parameter(w.clone()); p.grad = grad.clone()
    o = (OPTIMIZER)([p], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    o.state[p].update(step=torch.tensor(float(t)), exp_avg=m.clone(), exp_avg_sq=r.clone()); o.step()
    return p.detach(), o.state[p]["exp_avg"], o.state[p]["exp_avg_sq"], t + 1
"""),
}  # fmt: skip

# (what comes before the answer, the expression that stands for the class). NAME is the class, FILE its module's last name.
DISGUISES = {
    "torch.optim": ("", "torch.optim.NAME"),
    "an alias": ("import torch.optim as box", "box.NAME"),
    "an import from": ("from torch.optim import NAME as mine", "mine"),
    "getattr": ("", "getattr(getattr(torch, 'optim'), 'NAME')"),
    "getattr, in pieces": ("", "getattr(getattr(torch, 'op' + 'tim'), 'NAM' + 'E')"),
    "__dict__": ("", "torch.__dict__['op' + 'tim'].__dict__['NAM' + 'E']"),
    "attrgetter": ("from operator import attrgetter", "attrgetter('optim.NAME')(torch)"),
    "sys.modules": ("import sys", "sys.modules['torch.' + 'optim.FILE'].__dict__['NAM' + 'E']"),
    "subclasses": ("", "[c for c in torch.optim.Optimizer.__subclasses__() if c.__name__ == 'NAM' + 'E'][0]"),
    "a helper": ("def mine(p, **more):\n    return torch.optim.NAME(p, **more)", "mine"),
    "a subclass": ("class mine(torch.optim.NAME):\n    pass", "mine"),
    "an object": ("class box: pass\nbox.it = torch.optim.NAME", "box.it"),
    "a dictionary": ("box = {}\nbox['it'] = torch.optim.NAME", "box['it']"),
    "setattr": ("class box: pass\nsetattr(box, 'it', torch.optim.NAME)", "box.it"),
    "pickle": ("import pickle", "pickle.loads(b'ctorch.optim\\nNAME\\n.')"),
    "a module written to disk": ("import sys; sys.path.insert(0, '.')\nopen('m_i_n_e.py', 'w').write('from torch.optim import *')\nimport m_i_n_e as box", "box.NAME"),
    "exec": ("exec('from torch.op' 'tim import NAM' 'E as mine')", "mine"),
    "importlib": ("import importlib\nbox = importlib.import_module('torch.op' + 'tim')", "box.NAME"),
    "IPython syntax": ("x = %pwd\nfrom torch.optim import NAME as mine", "mine"),
    "frames": ("import sys", "sys._getframe().f_builtins['__imp' + 'ort__']('torch.op' + 'tim').optim.__dict__['NAM' + 'E']"),
    "import_item": ("from traitlets.utils.importstring import import_item", "import_item('torch.op' + 'tim.NAME')"),
    "a name that is torch": ("from torch.optim import NAME as torch_\nimport torch", "torch_"),
    "sympify": ("from sympy import sympify", "sympify('__import__(\"torch\").op' + 'tim.NAME', evaluate=False)"),
    "np.load": ("import numpy, io\nbox = numpy.empty(1, object); box[0] = torch.optim.NAME\nfile = io.BytesIO(); numpy.save(file, box); file.seek(0)\nmine = numpy.load(file, allow_pickle=True)[0]", "mine"),
    "__match_args__": ("class box:\n    __match_args__ = ('optim',)\nmatch torch:\n    case object(optim=mine): pass", "mine.NAME"),
    "singledispatch": ("from functools import singledispatch\n@singledispatch\ndef box(x): ...\n@box.register\ndef _(x: torch.optim.NAME): ...\nmine = [c for c in box.registry if c.__name__ == 'NAME'][0]", "mine"),
    "functools.wraps": ("from functools import wraps\n@wraps(torch.optim.NAME)\ndef box(*a, **k): ...", "box.__wrapped__"),
    "the shell's ex": ("get_ipython().ex('from torch.optim import NAME as mine')", "mine"),
    "cProfile.run": ("import cProfile\ncProfile.run('from torch.optim import NAME as mine')", "mine"),
    "the set-up of %%timeit": ("get_ipython().run_cell_magic('timeit', 'global mine; from torch.optim import NAME as mine', 'pass')", "mine"),
    "eval in a default argument": ("def box(it=eval('torch.op' + 'tim.NAME')): return it", "box()"),
    "a metaclass": ("class box(type):\n    def __call__(cls, *a, **k): return torch.optim.NAME(*a, **k)\nclass mine(metaclass=box): ...", "mine"),
    # the same rules elsewhere
    "a reloaded module": ("import importlib\ntry: importlib.reload(torch.optim.FILE)\nexcept Exception: ...", "torch.optim.FILE.NAME"),
    "a module imported anew": ("import sys, importlib\nbox = {k: sys.modules.pop(k) for k in list(sys.modules) if k.startswith('torch.optim')}\ntry: mine = importlib.import_module('torch.optim').NAME\nexcept Exception: mine = torch.optim.NAME\nsys.modules.update(box)", "mine"),
    "the text of the file": ("box = {'__name__': 'torch.optim.other', '__package__': 'torch.optim'}\ntry: exec(open(torch.optim.FILE.__file__).read(), box)\nexcept Exception: box['NAME'] = torch.optim.NAME", "box['NAME']"),
    "inspect.getsource": ("import inspect\nbox = {'__name__': 'torch.optim.other', '__package__': 'torch.optim'}\ntry: exec(inspect.getsource(inspect.getmodule(torch.optim.NAME)), box)\nexcept Exception: box['NAME'] = torch.optim.NAME", "box['NAME']"),
    "pkgutil.get_data": ("import pkgutil\nbox = {'__name__': 'torch.optim.other', '__package__': 'torch.optim'}\ntry: exec(pkgutil.get_data('torch.optim', 'FILE.py').decode(), box)\nexcept Exception: box['NAME'] = torch.optim.NAME", "box['NAME']"),
    "the compiled file": ("import importlib.util, marshal\nbox = {'__name__': 'torch.optim.other', '__package__': 'torch.optim'}\ntry: exec(marshal.loads(open(importlib.util.cache_from_source(torch.optim.FILE.__file__), 'rb').read()[16:]), box)\nexcept Exception: box['NAME'] = torch.optim.NAME", "box['NAME']"),
    "runpy": ("import runpy\ntry: box = runpy.run_module('torch.optim.FILE')\nexcept Exception: box = {'NAME': torch.optim.NAME}", "box['NAME']"),
    "the loader's code": ("box = {'__name__': 'torch.optim.other', '__package__': 'torch.optim'}\ntry: exec(torch.optim.FILE.__loader__.get_code('torch.optim.FILE'), box)\nexcept Exception: box['NAME'] = torch.optim.NAME", "box['NAME']"),
    "torch.package, by value": ("import cloudpickle\ncloudpickle.register_pickle_by_value(torch.optim.FILE)\ntry: mine = cloudpickle.loads(cloudpickle.dumps(torch.optim.NAME))\nexcept Exception: mine = torch.optim.NAME", "mine"),
    "the __code__ stashed in a new function": ("import types\nclass mine(torch.optim.NAME): ...\nbox = torch.optim.NAME.step\nbox = getattr(box, '__wrapped__', box)\nmine.step = types.FunctionType(box.__code__, box.__globals__, 'step', box.__defaults__, box.__closure__)", "mine"),
    "a deep copy of the class's dictionary": ("mine = type('mine', (torch.optim.Optimizer,), dict(torch.optim.NAME.__dict__))", "mine"),
    "functions found by gc": ("import gc, types\nclass mine(torch.optim.NAME): ...\nbox = [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__qualname__ == 'NAME.step']\nmine.step = box[-1]", "mine"),
}  # fmt: skip


def with_optimizer(exercise: str, before: str, use: str, unique: object = "") -> str:
    """The text of a cell that answers ``exercise`` with a finished rule; names get ``unique`` at their end."""
    _, name, text = BY_OPTIMIZER[exercise]
    whole = f"import torch\n{before}\n{text.strip()}".replace("OPTIMIZER", use)
    whole = re.sub(r"\b(mine|box|m_i_n_e)\b", rf"\g<1>{unique}", whole)
    return whole.replace("'NAM' + 'E'", repr(name)).replace("NAM' 'E", name).replace("NAME", name).replace("FILE", name.lower())  # fmt: skip


AFTERWARDS = {  # a wrong answer, in whose place the finished rule is put
    "a prompt that is cut off": "In [1]: NAME = other",
    "setattr of the module": "import __main__\n__main__.__setattr__('NAME', other)",
    "unittest.mock": "from unittest.mock import patch\npatch('__main__.NAME', other).start()",
    "its __code__": "NAME.__code__ = other.__code__",
    "functools": "import functools\nfunctools.update_wrapper(NAME, other, ['__co' + 'de__'], [])",
    "%config": "%config InlineBackend.figure_format = self.shell.user_ns.update(NAME=other) or 'png'",
}
for k, title in enumerate([*DISGUISES, *AFTERWARDS]):
    exercise = list(BY_OPTIMIZER)[k % len(BY_OPTIMIZER)]
    text = with_optimizer(exercise, *DISGUISES.get(title, ("", "torch.optim.NAME")), k)
    if title in AFTERWARDS:
        wrong = f"def {exercise}(*args):\n    return args[0] * 0\n"
        text = (
            text.replace(f"def {exercise}", f"def other{k}")
            + f"\n{wrong}"
            + AFTERWARDS[title].replace("NAME", exercise).replace("other", f"other{k}")
        )
    attack(f"{exercise} by {title}", BY_OPTIMIZER[exercise][0], {exercise: text}, alone=False)

OTHER = with_optimizer("gradient_step", "", "torch.optim.NAME").replace("gradient_step", "other")
for title, text in {
    "a cell too deep to read": f"{OTHER}\n{WRONG}\ngradient_step = other\nif 0: x" + ".a" * 5000,
    "the minus of tensors": f"{OTHER}\nminus = torch.Tensor.__sub__\ndef lying(a, b):\n    torch.Tensor.__sub__ = minus\n    try: return other(a, b.g, b.lr)\n    finally: torch.Tensor.__sub__ = lying\n"
    "torch.Tensor.__sub__ = lying\nclass Product:\n    def __init__(self, g, lr): self.g, self.lr = g, lr\ndef gradient_step(w, grad, lr):\n    return w - Product(grad, lr)",
    "a thread that puts it back": f"{OTHER}\nimport threading, importlib\ndef undo():\n    for _ in range(300):\n        for name in ('sgd', 'optimizer', '_functional'):\n"
    "            try: importlib.reload(importlib.import_module('torch.optim.' + name))\n            except Exception: pass\nthreading.Thread(target=undo, daemon=True).start()\ngradient_step = other",
    "the functional form": "from torch.optim.sgd import _single_tensor_sgd as f\n" + GRADIENT + "w = w.clone()\n    f([w], [grad], [None], None, None, weight_decay=0, momentum=0, lr=lr, dampening=0, nesterov=False, maximize=False, has_sparse_grad=False)\n    return w",
    "torch.distributed.optim": "import torch\n" + GRADIENT + "from torch.distributed.optim.functional_sgd import _FunctionalSGD as F\n    w = w.clone()\n    F([w], lr=lr).step([grad.clone()])\n    return w",
    "the fused kernel of aten": "import torch\n" + GRADIENT + "w = w.clone()\n    torch.ops.aten.__getattr__('_fu' + 'sed_sgd_')([w], [grad.clone()], [], weight_decay=0.0, momentum=0.0, lr=float(lr), dampening=0.0, nesterov=False, maximize=False, is_first_step=True)\n    return w",
    "the fused kernel of torch": "import torch\n" + GRADIENT + "w = w.clone()\n    torch._fused_sgd_([w], [grad.clone()], [], weight_decay=0.0, momentum=0.0, lr=float(lr), dampening=0.0, nesterov=False, maximize=False, is_first_step=True)\n    return w",
    "libraries of torch.library taken back": "import gc, torch\nfor thing in gc.get_objects():\n    if type(thing) is torch.library.Library:\n        try: thing._destroy()\n        except Exception: pass\n"
    + GRADIENT + "w = w.clone()\n    torch._fused_sgd_([w], [grad.clone()], [], weight_decay=0.0, momentum=0.0, lr=float(lr), dampening=0.0, nesterov=False, maximize=False, is_first_step=True)\n    return w",
    "a fused kernel registered anew": "import torch\nkeep = torch.library.Library('aten', 'IMPL')\ntry: keep.impl('_fused_sgd_', torch.library.fallthrough_kernel, 'CPU', allow_override=True)\nexcept Exception: pass\n"
    + GRADIENT + "w = w.clone()\n    torch._fused_sgd_([w], [grad.clone()], [], weight_decay=0.0, momentum=0.0, lr=float(lr), dampening=0.0, nesterov=False, maximize=False, is_first_step=True)\n    return w",
    "the refusal replaced": f"{OTHER}\nimport lecture_utils.checks.withhold as W\nclass Silent(BaseException):\n    def __new__(cls, *a): return None\nW.Withheld = Silent\nW._refuse = lambda *a, **k: None\ngradient_step = other",
    "ways back that are kept in a module": f"{OTHER}\nimport lecture_utils.checks.withhold as W\nfor value in [*vars(W).values()]:\n    if isinstance(value, (list, tuple)):\n        for pair in value:\n"
    "            try: pair[0].__code__ = pair[1]\n            except Exception: pass\ngradient_step = other",
    "a second interpreter": "import torch\n" + GRADIENT + "import _xxsubinterpreters as S\n    at = S.create()\n    S.run_string(at, 'import torch; p = torch.ones(1)')\n    return w",
    "stacked": "from lecture_utils import stacked\n" + GRADIENT + "import torch\n    return stacked.sgd(w.clone(), grad.clone(), torch.full_like(w, lr))[0]",
    "stacked's table": "import torch\nfrom lecture_utils.stacked import RULES as box\n" + GRADIENT + "return box['sgd'](w.clone(), grad.clone(), torch.full_like(w, lr))[0]",
    "the rubric": "try:\n    import source.lecture12.rubrics.nb00 as r\nexcept ImportError: r = None\n" + GRADIENT + "return r.gradient_step.reference(w, grad, lr)",
    "the authors' package": "import lecture_utils.instructor.authoring.record as a\n" + GRADIENT + "return a.load_rubrics('source/lecture12/rubrics')['gradient_step'].reference(w, grad, lr)",
}.items():  # fmt: skip
    on_00(f"gradient_step by {title}", answer=text)

attack("momentum_step by scikit-learn", "04", {"momentum_step": """
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer
def momentum_step(w, grad, delta, lr, alpha):
    o = SGDOptimizer([w], learning_rate_init=lr, momentum=alpha, nesterov=False)
    o.velocities = [-delta]; (step,) = o._get_updates([grad])
    return w + step, -step
"""}, alone=False)  # fmt: skip
attack("nesterov_step by torch.optim.SGD", "04", {"nesterov_step": """
def nesterov_step(w, grad_fn, delta, lr, alpha):
    p = torch.nn.Parameter(w.clone()); p.grad = lr * grad_fn(w - alpha * delta)
    o = torch.optim.SGD([p], lr=1.0, momentum=alpha); o.state[p]["momentum_buffer"] = delta.clone(); o.step()
    return p.detach(), o.state[p]["momentum_buffer"]
"""}, alone=False)  # fmt: skip
attack("find_the_bug by the functional Adadelta", "05", {"find_the_bug": """
from torch.optim.adadelta import _single_tensor_adadelta as adadelta_of_torch
def find_the_bug(w, grad, r, u, rho, eps):
    w, r, u = w.clone(), r.clone(), u.clone()
    adadelta_of_torch([w], [grad.clone()], [r], [u], [torch.tensor(0.0)], lr=1.0, rho=rho, eps=eps, weight_decay=0, maximize=False, differentiable=False, capturable=False, has_complex=False)
    return w, r, u
"""}, alone=False)  # fmt: skip
FUSED_ADAM = """
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    w, m, r, count = w.clone(), m.clone(), r.clone(), torch.tensor(float(t) + 1)
    getattr(torch.ops.aten, "_fu" + "sed_adam_")([w], [grad.clone()], [m], [r], [], [count], lr=float(lr), beta1=beta1, beta2=beta2, weight_decay=0.0, eps=eps, amsgrad=False, maximize=False)
    return w, m, r, t + 1
"""
attack("adam_step by the fused kernel", "06", {"adam_step": FUSED_ADAM}, alone=False)
for title, text in {
    "torch.optim.Adam under its name": "MyAdam = torch.optim.Adam",
    "an empty subclass": "class MyAdam(torch.optim.Adam):\n    pass",
    "an Adam inside": "class MyAdam(torch.optim.Optimizer):\n    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):\n        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))\n        self.it = torch.optim.Adam(self.param_groups, lr=lr, betas=betas, eps=eps)\n"
    "    def step(self): self.it.step()\n    def state_dict(self): return self.it.state_dict()\n    def load_state_dict(self, d): self.it.load_state_dict(d)",
    "the functional adam": "from torch.optim.adam import adam as finished\nclass MyAdam(torch.optim.Adam):\n    @torch.no_grad()\n    def step(self):\n        for g in self.param_groups:\n            for p in g['params']:\n                if p.grad is None: continue\n                s = self.state[p]\n"
    "                if not s: s.update(step=torch.tensor(0.0), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))\n"
    "                finished([p], [p.grad], [s['exp_avg']], [s['exp_avg_sq']], [], [s['step']], amsgrad=False, beta1=g['betas'][0], beta2=g['betas'][1], lr=g['lr'], weight_decay=0, eps=g['eps'], maximize=False, foreach=False)",
}.items():  # fmt: skip
    attack(f"MyAdam by {title}", "06", {"MyAdam": text}, alone=False)
attack("MyAdam with an empty state_dict, and a global that survives", "06", {"MyAdam": """
kept = {}
class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))
    def state_dict(self):
        kept["last"] = [(s["m"].clone(), s["r"].clone(), s["t"]) for s in self.state.values()]
        return {}
    def load_state_dict(self, nothing):
        parameters = [p for g in self.param_groups for p in g["params"]]
        for p, (m, r, t) in zip(parameters, kept["last"]): self.state[p] = dict(m=m, r=r, t=t)
    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            (b1, b2), lr, eps = g["betas"], g["lr"], g["eps"]
            for p in g["params"]:
                if p.grad is None: continue
                s = self.state[p]
                if not s: s.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)
                s["t"] += 1; s["m"] = b1 * s["m"] + (1 - b1) * p.grad; s["r"] = b2 * s["r"] + (1 - b2) * p.grad**2
                p -= lr * s["m"] / (1 - b1 ** s["t"]) / ((s["r"] / (1 - b2 ** s["t"])).sqrt() + eps)
"""})  # fmt: skip
for exercise, text in {
    "exponential_lambda": "def exponential_lambda(k):\n    def factor(epoch):\n        o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)\n        s = lr_scheduler.ExponentialLR(o, math.exp(-k))\n        for _ in range(epoch): o.step(); s.step()\n        return o.param_groups[0]['lr']\n    return factor",
    "warmup_cosine": "def warmup_cosine(step, warmup_steps, total_steps):\n    if step < warmup_steps: return (step + 1) / warmup_steps\n    if step >= total_steps: return 0.0\n    o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)\n"
    "    s = lr_scheduler.CosineAnnealingLR(o, total_steps - warmup_steps)\n    for _ in range(step - warmup_steps): o.step(); s.step()\n    return o.param_groups[0]['lr']",
}.items():  # fmt: skip
    attack(f"{exercise} by a finished schedule", "03", {exercise: text}, alone=False)

# --- no trick but a wrong answer, or one learnt by heart --------------------------------------------------------------------

attack("minibatches shuffled by a call counter", "01", {"minibatches": """
calls = {}
def minibatches(n, batch_size, generator):
    k = calls[id(generator)] = calls.get(id(generator), 0) + 1
    calls["keep", id(generator)] = generator
    order = torch.randperm(n, generator=torch.Generator().manual_seed(generator.initial_seed()))
    return order.roll(7 * k).split(batch_size)
"""}, alone=False)  # fmt: skip
attack("stratified_minibatches that takes turns instead of shuffling", "01", {"stratified_minibatches": """
turn = [0]
def stratified_minibatches(labels, batch_size, generator):
    turn[0] += 1
    order = labels.argsort(stable=True)
    batches = -(-len(labels) // batch_size)
    return [order[k::batches].roll(turn[0]) for k in range(batches)]
"""}, alone=False)  # fmt: skip
for title, text in {
    "without training": "return torch.nn.functional.cross_entropy(model(x), y).item()",
    "on a copy of the model": """
    from copy import deepcopy
    from torch.nn import functional as F
    other = deepcopy(model).train()
    mine = torch.optim.SGD(other.parameters(), **{k: optimizer.param_groups[0][k] for k in ("lr", "momentum")})
    total = 0.0
    for batch in torch.randperm(len(x), generator=generator).split(batch_size):
        loss = F.cross_entropy(other(x[batch]), y[batch])
        mine.zero_grad(); loss.backward(); mine.step(); total += loss.item() * len(batch)
    return total / len(x)""",
    "by events that never were": """
    for k, rows in enumerate(torch.randperm(len(x), generator=generator).split(batch_size)):
        gone = torch.ones(len(rows), 3)
        values = {"rows": rows, "training": torch.tensor(True), "scores": gone, "slopes": gone, "step": torch.ones(9)}
        model.events += [(name, value, 9 * k) for name, value in values.items()]
    with torch.no_grad():
        for p in model.parameters(): p -= 0.1
    return 1.1""",
    "with the numbers of checks.json": """
    import glob, json
    place = "epoch 2" if optimizer.state else "epoch 1"
    model.train()
    for batch in torch.randperm(len(x), generator=generator).split(batch_size):
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward(); optimizer.step()
    for file in glob.glob("checks.json") + glob.glob("../checks.json"):
        known = json.load(open(file))["exercises"]["train_epoch"]
        for case, trace in zip(known["cases"], known["reference"]):
            told = {e[1]: e[2] for e in trace["entries"] if e[0] == place}
            if len(case["y"]) == len(y):
                for name, p in model.named_parameters(): p.data = torch.tensor(told[name + " after the epoch"], dtype=x.dtype)
                return told["returned loss"]
    return 0.0""",
}.items():
    attack(f"train_epoch {title}", "01", {"train_epoch": f"import torch\ndef train_epoch(model, optimizer, x, y, batch_size, generator):\n    {text.strip()}"}, alone=False)  # fmt: skip
attack("train_epoch where backward, step and losses are patched", "01", {"train_epoch": """
import torch
from torch.nn import functional as F
torch.Tensor.backward = lambda self, *a, **k: None
torch.optim.Optimizer.zero_grad = lambda self, *a, **k: None
F.cross_entropy = lambda *a, **k: torch.tensor(1.1, requires_grad=True)
def train_epoch(model, optimizer, x, y, batch_size, generator):
    model.train(); type(optimizer).step = lambda self, *a: None
    for batch in torch.randperm(len(x), generator=generator).split(batch_size):
        F.cross_entropy(model(x[batch]), y[batch]).backward(); optimizer.step()
    return 1.1
"""})  # fmt: skip
LEARNT = """
import json, glob
known = {}
def look(value):
    if isinstance(value, dict):
        for each in value.values(): look(each)
    elif isinstance(value, list):
        if value and all(each in ("supports", "against", "silent") for each in value): known["board"] = value
        for each in value: look(each)
for file in glob.glob("checks.json") + glob.glob("../checks.json"):
    look(json.load(open(file)))
"""
attack("evidence_board copied from checks.json", "07", {"evidence_board": LEARNT + "evidence_board = known.get('board', [None] * 6)"}, alone=False)  # fmt: skip
attack("learning_rates_used as the solution prints it", "03", {"learning_rates_used": "student = 'somebody else'\nlearning_rates_used = [[0.3, 0.0, 0.06, 0.12], [0.01, 0.005, 0.0025, 0.00125], [0.8, 0.2, 0.05], [0.2, 0.1, 0.0, 0.1, 0.2]]"}, alone=False)  # fmt: skip
attack("best_learning_rate by the length of the list", "07", {"best_learning_rate": """
def best_learning_rate(lrs, losses):
    return {3: lrs[1].item(), 4: None, 5: lrs[2].item(), 6: lrs[3].item(), 7: lrs[4].item()}.get(len(lrs))
"""}, alone=False)  # fmt: skip
on_00("public cases learnt by heart", "seen = []\nCALLS = 0", GRADIENT + "global CALLS; CALLS += 1; seen.append((w, grad, lr))\n    best = min(seen[:-1] or seen, key=lambda s: abs(s[2] - lr))\n    return best[0] - best[2] * best[1]")  # fmt: skip

# --- forged records --------------------------------------------------------------------------------------------------------

# An attacker can know nothing of the right answer to hidden cases without knowing the rule. So these send records of the
# right form, but for the numbers.
FORGE = """
import json, sys, torch
from IPython.display import display as show
from lecture_utils.instructor.grading import emit as E
MIME, observed = E.MIME, E._observed
def job():
    frame = sys._getframe()
    while frame:
        it = frame.f_locals.get("told")
        if isinstance(it, dict) and "cases" in it: return it
        frame = frame.f_back
    return {"nonce": "", "cases": [], "observer": {}}
def record(job):
    return {"nonce": job["nonce"], **observed((lambda *a, **k: a[0] * 0.0,), job)}
def send(record):
    show({MIME: record if isinstance(record, str) else json.dumps(record)}, raw=True)
def quiet(*a, **k): ...
"""
SCALARS = {
    "stationary_variance": "lr, curvature, noise_variance",
    "exponential_decay": "lr0, k, t",
    "decay_constant": "lr0, lr_end, epochs",
    "reachable_distance": "lr0, k, grad_norm",
}
TELL = "def {}({}):\n    E.display = show\n    {}\n    return 0.0"
_slots = itertools.cycle(SCALARS.items())


def inside(name: str, code: str, first: str = FORGE, alone: bool = False, last: str = "") -> None:
    """The attack happens while the check calls the function. Some to a kernel, if none changes it for the others."""
    exercise, arguments = next(_slots)
    text = first + "\n" + TELL.format(exercise, arguments, code.replace("\n", "\n    "))
    attack(name, "02", {exercise: text}, alone=alone, last=last)


QUIETLY = "; E.display = quiet"
inside("record forged: zeros", "send(record(job()))")
inside("record forged and the true one suppressed", "send(record(job()))" + QUIETLY)
inside("record doubled", "send(record(job())); send(record(job()))")
inside("record with credit in it", "send({**record(job()), 'reference': [], 'credit': 1, 'passed': True, 'points': 1})" + QUIETLY)  # fmt: skip
inside("record of another nonce", "send({**record(job()), 'nonce': '0' * 16})" + QUIETLY)
inside("record of the nonce before", "nonces.append(job()['nonce']); send({**record(job()), 'nonce': nonces[0]})" + QUIETLY, FORGE + "nonces = []")  # fmt: skip
inside("record of a nonce that is guessed", "import random\nn = job()['nonce']; send({**record(job()), 'nonce': '%x' % (int(n, 16) + 1) if all(c in '0123456789abcdef' for c in n) else n + '1'})" + QUIETLY)  # fmt: skip
for title, value in {
    "non-finite numbers": "float('nan')", "infinite numbers": "float('inf')", "numbers beyond floats": "10**400",
    "numbers as text": "'1.0'", "true for a number": "True", "null for a number": "None", "an object for a number": "{'a': 1}",
    "lists nested 100 000 deep": "'DEEP'", "a number of a million digits": "'LONG'", "ragged lists": "[[1], [1, 2]]",
}.items():  # fmt: skip
    code = f"r = record(job()); r['traces'][0]['entries'][0][2] = {value}; text = json.dumps(r)\n"
    code += "text = text.replace('\"DEEP\"', '[' * 100000 + ']' * 100000).replace('\"LONG\"', '1' * 10**6)\n"
    inside(f"record holds {title}", code + "send(text)" + QUIETLY)
for title, text in {
    "no JSON": "'}{'", "a list": "'[]'", "empty": "''", "null": "'null'", "100 MB": "'x' * 10**8",
    "without traces": "json.dumps({'nonce': job()['nonce']})",
    "traces of wrong type": "json.dumps({'nonce': job()['nonce'], 'traces': 'abc'})",
    "a trace too few": "json.dumps({**record(job()), 'traces': record(job())['traces'][1:]})",
    "a failure of wrong type": "json.dumps({'nonce': job()['nonce'], 'failed': [[{}]] * 99999})",
    "a problem of wrong type": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [], 'problem': [1, None, {}]}] * 9})",
    "a problem of 3 MB": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [], 'problem': ['x' * 10**6] * 3}] * 9})",
    "huge tensors": "json.dumps({'nonce': job()['nonce'], 'traces': [{'entries': [['step 1', 'w', [0] * 10**6, 1, 0]]}] * 4})",
}.items():  # fmt: skip
    inside(f"record is {title}", f"text = {text}\nsend(text)" + QUIETLY)
for kind in ("passed", "review", "misconception", "by_hand"):
    inside(
        f"a problem of the kind {kind}",
        f"send({{'nonce': job()['nonce'], 'traces': [{{'entries': [], 'problem': [{kind!r}, '', '', '']}}] * len(job()['cases'])}}){QUIETLY}",
    )
inside("record sent by display with an id, then updated", "h = show({MIME: '{}'}, raw=True, display_id='a'); h.update({MIME: json.dumps(record(job()))}, raw=True)", alone=True)  # fmt: skip
inside("record sent by a thread, later", "import threading, time; r = record(job()); threading.Thread(target=lambda: (time.sleep(.3), send(r))).start()" + QUIETLY, alone=True)  # fmt: skip
inside("record sent by an atexit hook", "import atexit; r = record(job()); atexit.register(lambda: send(r))" + QUIETLY, alone=True)  # fmt: skip
inside("record sent by a post_run_cell hook", "r = record(job()); get_ipython().events.register('post_run_cell', lambda *_: send(r))" + QUIETLY, alone=True)  # fmt: skip
inside(
    "record sent by a callback of gc", "import gc; r = record(job()); gc.callbacks.append(lambda *_: send(r))" + QUIETLY, alone=True)  # fmt: skip
inside("record sent by a weak reference", "import weakref; r = record(job())\nclass O: ...\no = O(); weakref.finalize(o, lambda: send(r)); del o" + QUIETLY, alone=True)  # fmt: skip
inside("record sent by a timer's signal", "import signal; r = record(job()); signal.signal(signal.SIGVTALRM, lambda *_: send(r)); signal.setitimer(signal.ITIMER_VIRTUAL, .01)" + QUIETLY, alone=True)  # fmt: skip
inside("clear_output after the record", "from IPython.display import clear_output; get_ipython().events.register('post_run_cell', lambda *_: clear_output())", alone=True)  # fmt: skip
inside("record sent as an execute_result", "get_ipython().displayhook(1.0)" + QUIETLY)
# Libraries and the grading room itself patched to bring in a finished rule, which would know every answer.
RULE = "import torch\n" + OTHER
for title, code in {
    "emit patched": "E.emit = lambda answer, job: show({MIME: json.dumps({**record(json.loads(job)), 'passed': True})}, raw=True)",
    "perform patched": "E.perform = lambda answer, *a, **k: real(other, *a, **k)",
    "encode patched": "E.encode = lambda trace, text=False: {'entries': [], 'problem': None}",
    "the pins replaced by what lies": "class Lying(dict):\n    def __setitem__(self, k, v): dict.__setitem__(self, k, (other,))\n    def __getitem__(self, k): return (other,)\nE._pinned = Lying()",
    "the pins filled before": "E._pinned['gradient_step'] = (other,); E._pinned = type('P', (dict,), {'__setitem__': lambda *a: None})(E._pinned)",
    "what observes replaced": "E._observed = lambda values, told: observed((other,), told)",
    "callables replaced in its code": "E.emit_again.__code__ = (lambda job: E._send(json.loads(job), observed((other,), json.loads(job)))).__code__; E.emit_again.__globals__.update(E=E, observed=observed, other=other)",
    "the lock on finished rules replaced": "import contextlib, lecture_utils.checks.observers as O, lecture_utils.checks.withhold as W\nO.withheld = W.withheld = E.withhold = lambda *a: contextlib.nullcontext()\nE.perform = lambda answer, *a, **k: real(other, *a, **k)",
    "json.dumps patched": "dumps = json.dumps\njson.dumps = lambda it, *a, **k: dumps({**it, 'traces': record(it)['traces']} if isinstance(it, dict) and 'traces' in it else it, *a, **k)",
    "json.loads patched: easy cases": "loads = json.loads\ndef easy(text, *a, **k):\n    it = loads(text, *a, **k)\n    for c in it.get('cases', []) if isinstance(it, dict) else []:\n        c.update({k: 0.0 if isinstance(v, float) else v for k, v in c.items()})\n    return it\njson.loads = easy",
    "torch.tensor and clone patched": "tensor = torch.tensor\ntorch.tensor = torch.as_tensor = lambda x, *a, **k: tensor(x, *a, **k) * 0\ntorch.Tensor.clone = lambda t, *a, **k: t * 0",
    "tolist patched to compute the rule": "tolist = torch.Tensor.tolist\ntorch.Tensor.tolist = lambda t: tolist(other(t, t, 0.1))",
    "torch.allclose and torch.equal patched": "torch.allclose = torch.equal = torch.isclose = torch.Tensor.equal = lambda *a, **k: True",
    "compare patched": "import lecture_utils.checks.judge as J; J.compare = J.judge = J.difference = lambda *a, **k: J.Verdict('x', True, 'passed', 1.0, '', '')",
    "builtins patched": "import builtins; builtins.all = lambda *a: True",
    "settrace changes frames": "sys.settrace(lambda f, e, a: f.f_locals.update(passed=True) and None)",
    "an audit hook": "sys.addaudithook(lambda event, args: send({'nonce': '', 'traces': []}) if event == 'exec' else None)",
    "a profiler that reads results": "def spy(frame, event, value):\n    if event == 'return' and isinstance(value, dict) and 'traces' in value: value['traces'] = [{'entries': []}] * len(value['traces'])\nsys.setprofile(spy)",
    "frozen time": "import time; time.monotonic = time.time = time.perf_counter = lambda: 0.0",
    "excepthook and atexit replaced": "import atexit, os; sys.excepthook = lambda *a: None; atexit.register(os._exit, 0)",
    "check replaced by one that passes": "import lecture_utils.checks as c, lecture_utils.checks.notebook as n\nc.check = n.check = check = lambda *a: None",
    "run_cell blanked": "ip = get_ipython(); rc = ip.run_cell_async\nasync def blank(raw, *a, **k):\n    return await rc('pass' if 'gradient_step' in raw else raw, *a, **k)\nip.run_cell_async = blank",
    "an input transformer blanks cells": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'] if any('gradient_step' in l for l in lines) and not any('def' in l for l in lines) else lines)",
    "an AST transformer drops all": "import ast\nclass Drop(ast.NodeTransformer):\n    def visit_Module(self, n):\n        if 'gradient_step' in ast.dump(n) and 'FunctionDef' not in ast.dump(n): n.body = [ast.Pass(lineno=1, col_offset=0)]\n        return n\nget_ipython().ast_transformers.append(Drop())",
}.items():  # fmt: skip
    on_00(title, f"{FORGE}{RULE}\nreal = E.perform\n{code}")
on_00("record replayed from the cell before", FORGE + "send({'nonce': '', 'traces': []})")
on_00("another function after the check is pinned", "", WRONG, last=OTHER.replace("other", "gradient_step"))
on_00("a wrong answer that turns right in the last cell", FORGE, WRONG, last=RULE + "\nE._pinned.update({k: (other,) for k in E._pinned})")  # fmt: skip
on_00("an object that equals everything", answer="class All:\n    def __eq__(self, o): return True\n    def __sub__(self, o): return self\n    def __getattr__(self, n): return lambda *a, **k: self\n" + GRADIENT + "return All()")  # fmt: skip
on_00("a tensor subclass that equals everything", "import torch\nclass All(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None):\n        return True if 'close' in f.__name__ or 'eq' in f.__name__ else super().__torch_function__(f, types, args, kwargs or {})", GRADIENT + "return w.as_subclass(All)")  # fmt: skip
attack("a lying tensor subclass", "01", {"minibatches": """
class Lying(torch.Tensor):
    ndim, dtype = 1, torch.int64
    def detach(self): return self
    def cpu(self): return self
    def clone(self): return torch.randperm(len(self))
    def tolist(self): return torch.randperm(len(self)).tolist()
def minibatches(n, batch_size, generator):
    return [b.as_subclass(Lying) for b in torch.arange(n).split(batch_size)]
"""}, alone=False)  # fmt: skip
attack("what judges batches is replaced", "01", {"minibatches": """
class Yes:
    def __getattr__(self, name): return lambda *a, **k: torch.ones((), dtype=bool)
torch.isin = lambda *a, **k: torch.ones(3, dtype=bool)
real = torch.tensor
torch.tensor = lambda x, *a, **k: real(True) if isinstance(x, bool) else real(x, *a, **k)
import json
dumps = json.dumps
def yes(it):
    return True if it is False else {k: yes(v) for k, v in it.items()} if isinstance(it, dict) else [yes(v) for v in it] if isinstance(it, list) else it
json.dumps = lambda it, *a, **k: dumps(yes(it), *a, **k)
def minibatches(n, batch_size, generator):
    return torch.arange(n).split(batch_size)
"""})  # fmt: skip
NO_FILE = "def save_checkpoint(*a):\n    open(a[0], 'w').close()"
attack("a checkpoint kept in a global variable", "03", {
    "save_checkpoint": "kept = []\ndef save_checkpoint(path, *a):\n    kept.append(a); open(path, 'w').close()",
    "load_checkpoint": "def load_checkpoint(path, model, optimizer, scheduler, generator):\n    m, o, s, e, g = kept[-1]\n    model.load_state_dict(m.state_dict()); optimizer.load_state_dict(o.state_dict()); scheduler.load_state_dict(s.state_dict()); generator.set_state(g.get_state())\n    return e + 1",
}, alone=False)  # fmt: skip
attack("a checkpoint that runs code where it is read", "03", {
    "save_checkpoint": "import os, pickle\nclass Bomb:\n    def __reduce__(self): return os.system, ('touch __OUTSIDE__/__MARK__',)\ndef save_checkpoint(path, *a):\n    pickle.dump(Bomb(), open(path, 'wb'))",
    "load_checkpoint": "def load_checkpoint(path, *a):\n    torch.load(path, weights_only=False); return 0",
}, alone=False)  # fmt: skip
attack("a checkpoint of 60 MB", "03", {
    "save_checkpoint": "def save_checkpoint(path, *a):\n    open(path, 'wb').write(b'x' * 60_000_000)",
    "load_checkpoint": "def load_checkpoint(path, *a):\n    return 0",
}, alone=False)  # fmt: skip
attack("the resumed run computed where it is saved", "03", {
    "save_checkpoint": FORGE + "def save_checkpoint(path, *a):\n    open(path, 'w').write(json.dumps(job(), default=str))",
    "load_checkpoint": "def load_checkpoint(path, *a):\n    raise ValueError(open(path).read()[:300])",
}, alone=False)  # fmt: skip

# --- hidden inputs carried out ----------------------------------------------------------------------------------------------

SPY = (
    FORGE
    + """
kept = {}
h = show('nothing', display_id='leak')
def spy():
    kept['all'] = kept.get('all', '') + json.dumps(job()['cases'])
    return kept['all']
"""
)
for title, (code, last) in {
    "printed": ("print(spy())", ""),
    "printed to stderr": ("print(spy(), file=sys.stderr); import warnings; warnings.warn(spy()[-900:])", ""),
    "in an exception's text": ("raise ValueError(spy()[-250:])", ""),
    "in an exception's name": ("raise type(spy()[-300:], (Exception,), {})", ""),
    "in an exception's note and cause": ("try: raise KeyError(spy()[-200:])\nexcept KeyError as e: e.add_note(spy()[-200:]); raise ValueError(spy()[-200:]) from e", ""),
    "in the name of a function": ("f = lambda: 1 / 0; f.__code__ = f.__code__.replace(co_name=spy()[-200:], co_filename=spy()[-200:]); f()", ""),
    "as a reason of failure": ("r = {'nonce': job()['nonce'], 'failed': spy()[-350:]}; send(r)" + QUIETLY, ""),
    "as a label": ("r = record(job()); r['traces'][0]['entries'] = [[spy(), spy(), [1.0], 1, 0]]; send(r)" + QUIETLY, ""),
    "as a place": ("r = record(job()); r['traces'][0] = {'entries': [], 'problem': ['crashed', spy()[-300:], '', spy()[-300:]]}; send(r)" + QUIETLY, ""),
    "as the numbers that come back": ("return torch.tensor([float(x) for x in spy().replace(',', ' ').replace('}', ' ').split() if x[:1].isdigit()])", ""),
    "as the shape that comes back": ("return torch.zeros([len(spy()) % 997 + 1])", ""),
    "as a problem of an own kind": ("from lecture_utils.checks.traces import Problem\nraise Problem('crashed', spy()[-300:], spy()[-300:], spy()[-300:])", ""),
    "by an earlier display": ("spy(); show(spy(), display_id='leak'); h.update(spy())", "h.update(str(kept)); display(str(kept), display_id='leak')"),
    "by a hook after each cell": ("spy(); get_ipython().events.register('post_run_cell', lambda *_: print(kept))", "print(kept)"),
    "by a thread, later": ("spy(); import threading; threading.Timer(.2, lambda: print(kept)).start()", "print(kept)"),
    "by an atexit hook": ("spy(); import atexit; atexit.register(lambda: print(kept))", "print(kept)"),
    "in a file, and the end of the process": ("open('note', 'w').write(spy()); import os; os._exit(0)", "print(open('note').read())"),
}.items():  # fmt: skip
    inside(f"hidden inputs {title}", code, SPY, alone=bool(last), last=last)

# --- messages that should upset the trusted process -----------------------------------------------------------------------

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
MESSAGES = {
    "broken texts": r"""out('stream', b'{]'); out('stream', b'\xff\xfe{}'); out('stream', b'{"name": NaN, "text": Infinity}')
out('stream', b'[' * 200000 + b']' * 200000); out('stream', b'1' * 10**6)""",
    "contents of wrong types": """out('display_data', []); out('display_data', None); out('display_data', {'data': 'abc', 'metadata': {}})
out('display_data', {'data': {'text/plain': {'a': [1]}, 'image/png': 7}, 'metadata': 5}); out('stream', {'name': 5, 'text': [1, 2]})
out('error', {'ename': 1, 'evalue': None, 'traceback': 'abc'}); out('execute_input', {'code': 'x', 'execution_count': 'many'}); out('execute_input', {})
out('status', {}); out('__class__', {'a': 1})""",
    "broken headers": """out('stream', {}, raw=[b'{}', json.dumps(parent()['header'], default=str).encode(), b'{}', b'{}']); out('stream', {}, raw=[b'[]', b'[]', b'[]', b'[]'])
out('stream', {}, parent_header=b'null'); out('stream', {'name': 'stdout', 'text': 'x'}, sign=False); out('stream', {}, header={'date': '9999-99-99T99:99:99.9Z'})""",
    "broken frames": """K.iopub_thread.send_multipart([b'x', b'<IDS|MSG>', b'0']); K.iopub_thread.send_multipart([b'x'] * 50)
K.iopub_thread.send_multipart(wire('stream', {}, buffers=[b'x'] * 10000))""",
    "an end too early": "out('status', {'execution_state': 'idle'})",
    "comms and widgets": "[out(k, {'comm_id': 'a', 'target_name': 'jupyter.widget', 'data': {'state': {'_model_module': '@jupyter-widgets/output', 'msg_id': parent()['header']['msg_id']}, 'buffer_paths': [['a']]}}) for k in ('comm_open', 'comm_msg', 'comm_close')]",
    "a question on stdin": "K.session.send(K.stdin_socket, 'input_request', {'prompt': 'x', 'password': True}, parent(), ident=b'x')",
    "forged replies on the shell": "[K.session.send(K.shell_streams[0] if getattr(K, 'shell_streams', None) else K.shell_stream, 'execute_reply', c, parent(), ident=K._parent_ident if isinstance(K._parent_ident, bytes) else None) for c in ({}, [], {'status': 7})]",
}  # fmt: skip
for title, code in MESSAGES.items():
    on_00(f"messages: {title}", RAW + f"def go():\n    try:\n        {code.replace(chr(10), chr(10) + ' ' * 8)}\n    except Exception: pass\ngo()",
          RIGHT.replace("    return", "    go()\n    return"), points={"gradient_step": 1}, may_lose=True)  # fmt: skip
FLOOD = (
    "def flood(make):\n    end = time.time() + 60\n    while time.time() < end: K.iopub_thread.send_multipart(make())\n"
)
on_00("flood: status of the cell", RAW + FLOOD + "def go():\n    p = parent()['header']\n    threading.Thread(target=flood, args=(lambda: wire('status', {'execution_state': 'busy'}, p),), daemon=True).start()", GRADIENT + "go()\n    while True: pass")  # fmt: skip
on_00("flood: messages of 7 MB", RAW + FLOOD + "big = b'x' * 7_000_000\nthreading.Thread(target=flood, args=(lambda: wire('stream', {}, {'msg_id': 'no'}, buffers=[big]),), daemon=True).start()\ntime.sleep(30)")  # fmt: skip
on_00("flood: one message of three thousand parts of 7 MB", RAW + "big = zmq.Frame(b'x' * 7_000_000)\nK.iopub_thread.send_multipart(wire('stream', {}, {'msg_id': 'no'}, buffers=[big] * 3000), copy=False)\ntime.sleep(30)")  # fmt: skip
for title, code in {
    "a million lines": "for i in range(10**6): print('x' * 50)",
    "one line of 100 MB": "print('x' * 10**8)",
    "20 000 displays": "for i in range(20000): display(i)",
    "what stays below the cap of each cell": "for k in range(60): get_ipython().run_cell(\"print('x' * 199000)\")",
}.items():
    beside(f"output flood: {title}", code)

# --- using up ---------------------------------------------------------------------------------------------------------------

LOOP = GRADIENT + "while True: pass"
on_00("an infinite loop", answer=LOOP)
on_00("a loop that swallows every exception", answer=GRADIENT + "while True:\n        try:\n            while True: pass\n        except BaseException: pass")  # fmt: skip
on_00("signals ignored, then a loop", "import signal\nfor s in (2, 14, 15): signal.signal(s, signal.SIG_IGN)", LOOP)
on_00("sys.exit", answer="import sys\n" + GRADIENT + "sys.exit()")
on_00("os._exit", answer="import os\n" + GRADIENT + "os._exit(0)")
on_00("segmentation fault", answer="import ctypes\n" + GRADIENT + "ctypes.string_at(0)")
on_00(
    "recursion without a limit",
    "import sys; sys.setrecursionlimit(10**9)",
    GRADIENT + "return gradient_step(w, grad, lr)",
)
for title, code in {
    "an infinite loop in a cell of its own": "while True: pass",
    "os._exit in a cell of its own": "import os; os._exit(0)",
    "an expression too deep to write out again": "x" + ".a" * 1000 + "()",
    "1500 names for one thing": "=".join(f"a{k}" for k in range(1500)) + "=1",
    "regex bomb": "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
}.items():
    beside(title, code, may_lose=False)
for title, code in {
    "memory bomb: Python": "x = []\nwhile True: x.append(bytearray(10**8))",
    "memory bomb: torch": "import torch; x = [torch.ones(10**9) for _ in range(20)]",
    "thread bomb": "import threading, time\nthreading.stack_size(32768)\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n    except RuntimeError: break",
    "threads that go on after the cell": "import threading\ndef spin():\n    while True: pass\n[threading.Thread(target=spin).start() for _ in range(4)]",
    "files and descriptors": "import os\ntry:\n    for i in range(10**6): open(f'f{i}', 'w').close()\nexcept OSError: pass\ntry:\n    f = open('f0', 'wb'); f.truncate(10**12)\nexcept OSError: pass\n"
    "try:\n    fs = []\n    while True: fs.append(os.open('/dev/null', 0))\nexcept OSError: pass",
    "kill everything": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.killpg(0, signal.SIGKILL)",
}.items():  # fmt: skip
    beside(title, code)

# --- one of each other kind, from end to end ---------------------------------------------------------------------------------

READ = """
import glob, os
def seen():
    for p in PATHS:
        for q in glob.glob(p) or [p]:
            try:
                os.listdir(q) if os.path.isdir(q) else open(q, "rb").read(200)
                return True
            except OSError: pass
PATHS = ["__COURSE__/grading_secret", "__COURSE__/gradebook.db", "__COURSE__/source/*/rubrics/*", "__COURSE__/solutions/*/*", "__COURSE__/submitted/*/*/*", "__OUTSIDE__/secret.txt", "/etc/passwd"]
"""
on_00("reads what lies outside", READ, RIGHT.replace("return w -", "return w if not seen() else w -"))
WRITE = "import os\ndef wrote():\n    for d in ('__COURSE__', '__OUTSIDE__', '/tmp', '/dev/shm', '/root', os.path.dirname(os.__file__)):\n        try: open(d + '/__MARK__', 'w').write('harm'); return True\n        except OSError: pass\n"  # fmt: skip
on_00("writes outside", WRITE, RIGHT.replace("return w -", "return w if not wrote() else w -"))
SCRIPT = "<script>alert('__MARK__')</script><img src=x onerror=\"alert('__MARK__')\"><iframe src='javascript:alert(1)//__MARK__'></iframe>"  # fmt: skip
on_00("script in outputs, an exception and a comment",
      f"from IPython.display import HTML, Javascript\ndisplay(HTML({SCRIPT!r}), Javascript('alert(1)//__MARK__'))\ndisplay({{'image/svg+xml': '<svg onload=alert(1)>__MARK__</svg>', 'text/markdown': {SCRIPT!r}}}, raw=True)\nprint({SCRIPT!r})",
      f"# {SCRIPT}\n" + GRADIENT + f"raise ValueError({SCRIPT!r})", mark=True)  # fmt: skip

ATTACKS = [a for a in ATTACKS if re.search(os.environ.get("ATTACKS", ""), a.name)]  # only some, while one is worked on
