"""torch's compiler is loaded by whoever compiles, and by nobody else."""

import subprocess
import sys

import pytest

LOADED = "torch._dynamo.eval_frame"


def run(code: str, *words: str, cwd: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=str(cwd), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = f"""
import sys
from rlzoo.cli.main import main
code = main()
assert "torch.optim" in sys.modules
assert {LOADED!r} not in sys.modules, "the compiler was loaded"
sys.exit(code)
"""


@pytest.mark.parametrize(
    "algo", ["ppo", *(pytest.param(one, marks=pytest.mark.slow) for one in ("sac", "ppo_scratch"))]
)
def test_a_training_and_an_evaluation_load_no_compiler(algo, tmp_path):
    env = "Pendulum" if algo == "sac" else "CartPole"
    words = ["total_timesteps=120", "eval.n_episodes=1", "eval.random=false"]
    words += ["algo.learning_starts=100"] if algo == "sac" else ["algo.n_steps=40"]
    run(COMMAND, "train", f"algo={algo}", f"env={env}", *words, cwd=tmp_path)
    run(COMMAND, "evaluate", "run=latest", "n_episodes=1", cwd=tmp_path)


def test_whoever_compiles_gets_the_real_compiler_with_the_optimizer_left_out_of_it(tmp_path):
    run(
        f"""
import sys
from rlzoo.algos import lazy_dynamo
lazy_dynamo.install()
import torch

def optimizer():
    weight = torch.nn.Parameter(torch.ones(3))
    one = torch.optim.Adam([weight], lr=0.1)
    weight.sum().backward()
    one.step()
    return weight.detach()

first = optimizer()
assert {LOADED!r} not in sys.modules
add = torch.optim.Optimizer.add_param_group.__wrapped__
assert getattr(add, "__dynamo_disable") is add

graphs = []
def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward

compiled = torch.compile(lambda x: torch.relu(x) + 1, backend=backend)
assert compiled(torch.tensor([-1.0, 2.0])).tolist() == [1.0, 3.0]
assert len(graphs) == 1
assert {LOADED!r} in sys.modules
assert sys.modules["torch._dynamo"] is torch._dynamo
assert not hasattr(add, "__dynamo_disable")
assert torch.equal(optimizer(), first)
assert getattr(add, "__dynamo_disable") is not add
from torch._dynamo.utils import counters
""",
        cwd=tmp_path,
    )


def test_submodules_and_names_come_from_the_real_one(tmp_path):
    run(
        """
from rlzoo.algos import lazy_dynamo
lazy_dynamo.install()
import importlib.util, inspect, sys
import torch
assert importlib.util.find_spec("torch._dynamo") is not None
inspect.getmodule(inspect.currentframe())  # looks through every module
assert isinstance(sys.modules["torch._dynamo"], lazy_dynamo._LazyDynamo)
from torch._dynamo import reset
assert reset.__module__ == "torch._dynamo"
import torch._dynamo.config
lazy_dynamo.install()
assert not isinstance(sys.modules["torch._dynamo"], lazy_dynamo._LazyDynamo)
""",
        cwd=tmp_path,
    )
