"""What a notebook does with published networks, without rlzoo: `python notebook.py page.md tasks.json`.

A task is the folder of a package, an environment and a class: one of the page's, or one that is written here as the
course writes its own. The network is loaded, asked about the observations of the task, and plays the episodes of
results.json with its best actions. What came out is printed as JSON.
"""

import json
import re
import sys
from pathlib import Path

sys.modules["rlzoo"] = None  # from here on `import rlzoo` fails

import gymnasium  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812


class CoursePolicy(nn.Module):
    """Unit 4, CartPole."""

    def __init__(self, s_size, a_size, h_size):
        super().__init__()
        self.fc1 = nn.Linear(s_size, h_size)
        self.fc2 = nn.Linear(h_size, a_size)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        return F.softmax(self.fc2(x), dim=1)


class CopterPolicy(nn.Module):
    """Unit 4, Pixelcopter."""

    def __init__(self, s_size, a_size, h_size):
        super().__init__()
        self.fc1 = nn.Linear(s_size, h_size)
        self.fc2 = nn.Linear(h_size, h_size * 2)
        self.fc3 = nn.Linear(h_size * 2, a_size)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.softmax(self.fc3(x), dim=1)


class CourseAgent(nn.Module):
    """Unit 8."""

    def __init__(self, s_size, a_size):
        super().__init__()
        self.critic = nn.Sequential(
            nn.Linear(s_size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )  # fmt: skip
        self.actor = nn.Sequential(
            nn.Linear(s_size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, a_size)
        )  # fmt: skip


def network(task, about, page):
    sizes = about["state_space"], about["action_space"]
    search = {"activation": nn.Tanh, "net_arch": about["net_arch"]}
    made = {
        "CoursePolicy": lambda: CoursePolicy(*sizes, about["h_size"]),
        "CopterPolicy": lambda: CopterPolicy(*sizes, about["h_size"]),
        "CourseAgent": lambda: CourseAgent(*sizes),
        "Policy": lambda: page["Policy"](*sizes, about["h_size"]),
        "Agent": lambda: page["Agent"](*sizes, about["net_arch"]),
        "QNetwork": lambda: page["Network"](*sizes, [64, 64], nn.ReLU),
        "Search": lambda: page["Network"](*sizes, **search).double(),
    }[task["class"]]()
    return page["load"](made, Path(task["folder"]) / "model.pt")


def outputs(made, observations):
    part = getattr(made, "actor", None) or getattr(made, "network", None) or made
    with torch.no_grad():
        return part(torch.as_tensor(observations, dtype=next(made.parameters()).dtype))


def returns(made, env, seeds):
    totals = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            action = int(outputs(made, observation[None]).argmax())
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
        totals.append(total)
    return totals


def main(page, tasks):
    code = re.findall(r"```python\n(.*?)```", Path(page).read_text(), re.DOTALL)
    known = {}
    exec(code[0], known)
    found = []
    for task in json.loads(Path(tasks).read_text()):
        folder = Path(task["folder"])
        about = json.loads((folder / "hyperparameters.json").read_text())
        made = network(task, about, known)
        results = json.loads((folder / "results.json").read_text())
        played = returns(made, gymnasium.make(task["env"], max_episode_steps=about["max_t"]), results["seeds"])
        found.append({"outputs": outputs(made, task["observations"]).tolist(), "returns": played})
    try:
        import rlzoo
    except ImportError:
        print(json.dumps(found))
    else:
        raise SystemExit(f"rlzoo can be imported: {rlzoo}")


if __name__ == "__main__":
    main(*sys.argv[1:])
