"""Finished rules are withheld while an own one is looked at, whatever they are called; everything else goes on working."""

import pickle
import subprocess
import sys
from functools import partial

import pytest
import torch

from lecture_utils import stacked
from lecture_utils.checks import judge
from lecture_utils.checks.traces import Kind
from lecture_utils.checks.withhold import RULES, SCHEDULES, Withheld, withheld
from lecture_utils.environment import tools

ADAM = sys.modules["torch.optim.adam"]


def weights():
    w = torch.nn.Parameter(torch.ones(3, 3))
    w.grad = torch.ones(3, 3)
    return w


class Inherits(torch.optim.Adam):
    pass


def functional():
    w = torch.ones(3)
    ADAM.adam([w], [w], [w], [w], [], [torch.tensor(1.0)], amsgrad=False, beta1=0.9, beta2=0.9, lr=0.1, weight_decay=0, eps=1e-8, maximize=False)  # fmt: skip


def operator(sgd):
    w = torch.ones(3)
    sgd([w], [w], [], weight_decay=0.0, momentum=0.0, lr=0.1, dampening=0.0, nesterov=False, maximize=False, is_first_step=True)  # fmt: skip


made_before = torch.optim.RMSprop([weights()])
made_before.step()
RULES_BY_NAME = [
    n
    for n in torch.optim.__all__
    if n[0].isupper() and n not in ("Optimizer", "lr_scheduler", "swa_utils", "SparseAdam", "LBFGS")
]
FINISHED = {
    **{n: lambda n=n: getattr(torch.optim, n)([weights()], lr=0.1).step() for n in RULES_BY_NAME},
    "LBFGS": lambda: torch.optim.LBFGS([weights()]).step(lambda: torch.tensor(1.0)),
    "a subclass": lambda: Inherits([weights()]).step(),
    "an object made before": made_before.step,
    "a copy of one": lambda: pickle.loads(pickle.dumps(made_before)).step(),
    "another name": partial(getattr(torch.optim.SGD, "st" + "ep"), made_before),
    "the functional form": functional,
    "a private function": partial(ADAM._single_tensor_adam, [], [], [], [], [], []),
    "torch's operator": lambda: operator(torch._fused_sgd_),
    "the operator by its name": lambda: operator(torch.ops.aten._fused_sgd_),
    "what is under a decorator": lambda: ADAM.adam.__wrapped__(),
    "the course's own": lambda: stacked.RULES["momentum"](*[torch.ones(3)] * 3, 0.1),
}


@pytest.mark.parametrize("use", FINISHED.values(), ids=FINISHED)
def test_a_finished_rule_says_that_it_does_not_work_here(use):
    with withheld(RULES), pytest.raises(Withheld, match=r"is finished, and does not work while your own is checked"):
        use()


class Own(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.grad


def lambda_lr():
    optimizer = Own([weights()])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.05]


def own_step():
    w = weights()
    Own([w]).step()
    assert torch.allclose(w.detach(), torch.tensor(0.9))


ALLOWED = {
    "an Optimizer of one's own": own_step,
    "LambdaLR": lambda_lr,
    "making an optimizer": lambda: torch.optim.Adam([weights()]),
    "averaging weights": lambda: torch.optim.swa_utils.AveragedModel(torch.nn.Linear(1, 1)),
    "saving and loading": lambda: made_before.load_state_dict(made_before.state_dict()),
    "gradients": lambda: torch.nn.functional.mse_loss(torch.nn.Linear(2, 1)(torch.ones(2)), torch.ones(1)).backward(),
    "clipping": lambda: torch.nn.utils.clip_grad_norm_([weights()], 1.0),
}


@pytest.mark.parametrize("use", ALLOWED.values(), ids=ALLOWED)
def test_all_else_goes_on_working(use):
    with withheld(RULES, SCHEDULES):
        use()


@pytest.mark.parametrize("name", ["ExponentialLR", "CosineAnnealingLR", "StepLR", "LinearLR", "OneCycleLR", "MultiplicativeLR"])  # fmt: skip
def test_finished_schedules_are_withheld_where_one_is_to_be_written(name):
    more = {"ExponentialLR": (0.9,), "CosineAnnealingLR": (9,), "StepLR": (2,), "OneCycleLR": (0.1, 9), "MultiplicativeLR": (lambda e: 0.9,)}  # fmt: skip

    def use():
        scheduler = getattr(torch.optim.lr_scheduler, name)(Own([weights()]), *more.get(name, ()))
        scheduler.step()

    with withheld(SCHEDULES), pytest.raises((Withheld, ValueError)):
        use()


def test_afterwards_all_is_as_before():
    before = {f: f.__code__ for f in (torch.optim.Adam.step, ADAM.adam, ADAM._single_tensor_adam, stacked.sgd)}
    with withheld(RULES, SCHEDULES):
        assert all(f.__code__ is not code for f, code in before.items())
    assert all(f.__code__ is code for f, code in before.items())
    operator(torch._fused_sgd_)
    made_before.step()


def test_the_check_of_a_student_says_so_too():
    def momentum_step(w, grad, delta, lr, alpha):
        p = torch.nn.Parameter(w)
        p.grad = grad
        torch.optim.SGD([p], lr=lr, momentum=alpha).step()
        return p.detach(), delta

    verdict = judge(momentum_step)
    assert verdict.kind == Kind.WITHHELD
    assert "SGD.step is finished" in verdict.message
    assert "torch.optim.SGD([p], lr=lr, momentum=alpha).step()" in verdict.message
    torch.optim.SGD([weights()], lr=0.1).step()  # and works again


LEFT = """
import gc, sys, types, torch, torch._dynamo
from IPython.core.interactiveshell import InteractiveShell
torch.optim.SGD([torch.zeros(1)])
def left():
    codes = {id(r): r for o in gc.get_objects() for r in gc.get_referents(o) if isinstance(r, types.CodeType)}
    rules = ("adam.py", "adamw.py", "sgd.py", "rmsprop.py", "stacked.py")
    names = ("adam", "sgd", "rmsprop", "adamw", "momentum", "nesterov")
    return [c.co_name for c in codes.values() if c.co_filename.endswith(rules) and c.co_name.endswith(names)]
import lecture_utils.stacked
assert len(left()) > 10, left()
from lecture_utils.instructor.grading import emit
emit.make_harmless = lambda shell: None
emit.begin(["rules"])
print(left())
"""


def test_where_a_class_is_graded_no_code_of_a_finished_rule_is_left():
    """Nothing that student code could find and put back."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LEFT], env=tools(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
