"""The table of algorithms: what each is and where its class lies, known without importing any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlzoo.config import paths
from rlzoo.errors import RlzooError
from rlzoo.registry import did_you_mean

ANY = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
FINITE = ("Discrete", "MultiDiscrete", "MultiBinary")


@dataclass(frozen=True)
class AlgoSpec:
    """One algorithm.

    Attributes:
        name: what `algo=` takes.
        entry_point: `"package.module:Class"`.
        backend: whose class it is.
        family: decides what a keyword means: `n_steps` is a rollout's length on-policy, a return's length off-policy.
            `planning` needs an environment that shows its dynamics, and its time steps are sweeps over all states.
        action_spaces: kinds of action space it can act in; empty if that is not known.
        summary: one line for people.
        paper: where it was published.
        aliases: other names that `algo=` takes.
        offline: learns from a dataset, without an environment.
        recurrent: its policy has a memory, so `predict` needs its last state.
        masked: `predict` takes a mask of the valid actions.
        observation_spaces: kinds of observation space it can learn from; empty if any that its policies fit.
        prediction: learns what a given policy is worth, and plays as that policy does.
    """

    name: str
    entry_point: str
    backend: Literal["sb3", "sb3_contrib", "rlzoo", "custom"]
    family: Literal["on_policy", "off_policy", "evolution", "tabular", "planning", "custom"]
    action_spaces: tuple[str, ...]
    summary: str
    paper: str = ""
    aliases: tuple[str, ...] = ()
    offline: bool = False
    recurrent: bool = False
    masked: bool = False
    observation_spaces: tuple[str, ...] = ()
    prediction: bool = False

    @property
    def tunable(self) -> bool:
        """Whether a hyperparameter can make its policy better: plans are exact, and a given policy stays as it is."""
        return not (self.prediction or self.family == "planning")

    @property
    def unit(self) -> str:
        """What `total_timesteps` counts; checkpoints and evaluations on the way follow it."""
        if self.offline:
            return "gradient steps"
        return "sweeps" if self.family == "planning" else "steps"


_TABLE = (
    AlgoSpec(
        name="a2c",
        entry_point="stable_baselines3:A2C",
        backend="sb3",
        family="on_policy",
        action_spaces=ANY,
        summary="Advantage actor-critic: one gradient step after each short rollout of parallel environments",
        paper="https://arxiv.org/abs/1602.01783",
    ),
    AlgoSpec(
        name="ddpg",
        entry_point="stable_baselines3:DDPG",
        backend="sb3",
        family="off_policy",
        action_spaces=("Box",),
        summary="Deep deterministic policy gradient: Q-learning with a deterministic actor for continuous actions",
        paper="https://arxiv.org/abs/1509.02971",
    ),
    AlgoSpec(
        name="dqn",
        entry_point="stable_baselines3:DQN",
        backend="sb3",
        family="off_policy",
        action_spaces=("Discrete",),
        summary="Deep Q-network: Q-learning with a replay buffer and a target network",
        paper="https://arxiv.org/abs/1312.5602",
    ),
    AlgoSpec(
        name="ppo",
        entry_point="stable_baselines3:PPO",
        backend="sb3",
        family="on_policy",
        action_spaces=ANY,
        summary="Proximal policy optimisation: several epochs on each rollout, steps kept small by clipping",
        paper="https://arxiv.org/abs/1707.06347",
    ),
    AlgoSpec(
        name="sac",
        entry_point="stable_baselines3:SAC",
        backend="sb3",
        family="off_policy",
        action_spaces=("Box",),
        summary="Soft actor-critic: maximises reward and the entropy of a stochastic policy",
        paper="https://arxiv.org/abs/1801.01290",
    ),
    AlgoSpec(
        name="td3",
        entry_point="stable_baselines3:TD3",
        backend="sb3",
        family="off_policy",
        action_spaces=("Box",),
        summary="Twin delayed DDPG: two critics, a slower actor and smoothed target actions",
        paper="https://arxiv.org/abs/1802.09477",
    ),
    AlgoSpec(
        name="ars",
        entry_point="sb3_contrib:ARS",
        backend="sb3_contrib",
        family="evolution",
        action_spaces=("Box", "Discrete"),
        summary="Augmented random search: whole episodes of randomly perturbed policies, no gradients",
        paper="https://arxiv.org/abs/1803.07055",
    ),
    AlgoSpec(
        name="crossq",
        entry_point="sb3_contrib:CrossQ",
        backend="sb3_contrib",
        family="off_policy",
        action_spaces=("Box",),
        summary="SAC with batch normalisation in place of target networks",
        paper="https://arxiv.org/abs/1902.05605",
    ),
    AlgoSpec(
        name="maskable_ppo",
        entry_point="sb3_contrib:MaskablePPO",
        backend="sb3_contrib",
        family="on_policy",
        action_spaces=FINITE,
        summary="PPO that never takes an action the environment marks as invalid",
        paper="https://arxiv.org/abs/2006.14171",
        masked=True,
    ),
    AlgoSpec(
        name="qrdqn",
        entry_point="sb3_contrib:QRDQN",
        backend="sb3_contrib",
        family="off_policy",
        action_spaces=("Discrete",),
        summary="Quantile regression DQN: learns the distribution of returns instead of their mean",
        paper="https://arxiv.org/abs/1710.10044",
    ),
    AlgoSpec(
        name="ppo_lstm",
        entry_point="sb3_contrib:RecurrentPPO",
        backend="sb3_contrib",
        family="on_policy",
        action_spaces=ANY,
        summary="PPO with an LSTM, for environments that hide part of their state",
        paper="https://arxiv.org/abs/1707.06347",
        aliases=("recurrent_ppo",),
        recurrent=True,
    ),
    AlgoSpec(
        name="tqc",
        entry_point="sb3_contrib:TQC",
        backend="sb3_contrib",
        family="off_policy",
        action_spaces=("Box",),
        summary="Truncated quantile critics: SAC that drops the most optimistic return estimates",
        paper="https://arxiv.org/abs/2005.04269",
    ),
    AlgoSpec(
        name="trpo",
        entry_point="sb3_contrib:TRPO",
        backend="sb3_contrib",
        family="on_policy",
        action_spaces=ANY,
        summary="Trust region policy optimisation: each update stays within a bound on the KL divergence",
        paper="https://arxiv.org/abs/1502.05477",
    ),
    AlgoSpec(
        name="dqn_scratch",
        entry_point="rlzoo.algos.deep.dqn_scratch:DQNScratch",
        backend="rlzoo",
        family="off_policy",
        action_spaces=("Discrete",),
        summary="DQN with Double, Dueling, prioritised replay and n-step returns as options",
        paper="https://doi.org/10.1038/nature14236",
    ),
    AlgoSpec(
        name="q_learning",
        entry_point="rlzoo.algos.tabular.q_learning:QLearning",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Q-learning: off-policy temporal-difference control with a table of action values",
        paper="https://doi.org/10.1007/BF00992698",
    ),
    AlgoSpec(
        name="sarsa",
        entry_point="rlzoo.algos.tabular.sarsa:Sarsa",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Sarsa: on-policy temporal-difference control with a table of action values",
        paper="http://incompleteideas.net/book/the-book-2nd.html",
    ),
    AlgoSpec(
        name="expected_sarsa",
        entry_point="rlzoo.algos.tabular.expected_sarsa:ExpectedSarsa",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Expected Sarsa: follows the mean over the policy's next actions instead of one of them",
        paper="https://doi.org/10.1109/ADPRL.2009.4927542",
    ),
    AlgoSpec(
        name="monte_carlo",
        entry_point="rlzoo.algos.tabular.monte_carlo:MonteCarlo",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Monte Carlo control: a table of action values, from the returns of whole episodes",
        paper="http://incompleteideas.net/book/the-book-2nd.html",
    ),
    AlgoSpec(
        name="dyna_q",
        entry_point="rlzoo.algos.tabular.dyna_q:DynaQ",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Dyna-Q: Q-learning that also learns from a model of what it has seen",
        paper="https://doi.org/10.1016/B978-1-55860-141-3.50030-4",
    ),
    AlgoSpec(
        name="value_iteration",
        entry_point="rlzoo.algos.tabular.value_iteration:ValueIteration",
        backend="rlzoo",
        family="planning",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Value iteration: the best values of all states, computed from the environment's dynamics",
        paper="https://doi.org/10.1512/iumj.1957.6.56038",
    ),
    AlgoSpec(
        name="policy_iteration",
        entry_point="rlzoo.algos.tabular.policy_iteration:PolicyIteration",
        backend="rlzoo",
        family="planning",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Policy iteration: evaluates a policy by the environment's dynamics and makes it better, in turn",
        paper="http://incompleteideas.net/book/the-book-2nd.html",
    ),
    AlgoSpec(
        name="mc_prediction",
        entry_point="rlzoo.algos.tabular.mc_prediction:MCPrediction",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="Monte Carlo prediction: what states are worth to a fixed policy, from whole episodes",
        paper="http://incompleteideas.net/book/the-book-2nd.html",
        prediction=True,
    ),
    AlgoSpec(
        name="td0",
        entry_point="rlzoo.algos.tabular.td0:TD0",
        backend="rlzoo",
        family="tabular",
        observation_spaces=("Discrete",),
        action_spaces=("Discrete",),
        summary="TD(0): what states are worth to a fixed policy, learned from every step",
        paper="https://doi.org/10.1007/BF00115009",
        prediction=True,
    ),
    AlgoSpec(
        name="ppo_scratch",
        entry_point="rlzoo.algos.deep.ppo_scratch:PPO",
        backend="rlzoo",
        family="on_policy",
        action_spaces=ANY,
        summary="PPO in one readable file: clipped objective and value loss, with the defaults of the Deep RL Course",
        paper="https://arxiv.org/abs/1707.06347",
    ),
    AlgoSpec(
        name="reinforce",
        entry_point="rlzoo.algos.deep.reinforce:Reinforce",
        backend="rlzoo",
        family="on_policy",
        action_spaces=ANY,
        summary="REINFORCE: the Monte Carlo policy gradient, from the returns of whole episodes",
        paper="https://doi.org/10.1007/BF00992696",
    ),
    AlgoSpec(
        name="actor_critic",
        entry_point="rlzoo.algos.deep.actor_critic:ActorCritic",
        backend="rlzoo",
        family="on_policy",
        action_spaces=ANY,
        summary="One-step actor-critic: every step is judged at once, by the error of a learned value",
        paper="https://doi.org/10.1109/TSMC.1983.6313077",
    ),
    AlgoSpec(
        name="hill_climbing",
        entry_point="rlzoo.algos.search.hill_climbing:HillClimbing",
        backend="rlzoo",
        family="evolution",
        observation_spaces=ANY,
        action_spaces=("Box", "Discrete"),
        summary="Hill climbing: random changes of the best policy so far, kept if they are no worse; steps adapt",
        paper="https://doi.org/10.1109/TAC.1968.1098903",
    ),
    AlgoSpec(
        name="simulated_annealing",
        entry_point="rlzoo.algos.search.simulated_annealing:SimulatedAnnealing",
        backend="rlzoo",
        family="evolution",
        observation_spaces=ANY,
        action_spaces=("Box", "Discrete"),
        summary="Simulated annealing: a random walk over policies that goes downhill ever less often",
        paper="https://doi.org/10.1126/science.220.4598.671",
    ),
    AlgoSpec(
        name="cem",
        entry_point="rlzoo.algos.search.cem:CEM",
        backend="rlzoo",
        family="evolution",
        observation_spaces=ANY,
        action_spaces=("Box", "Discrete"),
        summary="Cross-entropy method: a normal distribution over policies, fitted to the best of its samples",
        paper="https://doi.org/10.1162/neco.2006.18.12.2936",
    ),
    AlgoSpec(
        name="evolution_strategies",
        entry_point="rlzoo.algos.search.evolution_strategies:EvolutionStrategies",
        backend="rlzoo",
        family="evolution",
        observation_spaces=ANY,
        action_spaces=("Box", "Discrete"),
        summary="Evolution strategies: gradient ascent on the return, estimated from random changes of the weights",
        paper="https://arxiv.org/abs/1703.03864",
    ),
)

ALGOS: dict[str, AlgoSpec] = {spec.name: spec for spec in _TABLE}
"""Every algorithm rlzoo ships, by name."""
ALIASES: dict[str, str] = {alias: spec.name for spec in _TABLE for alias in spec.aliases}


def all_specs() -> list[AlgoSpec]:
    """Every algorithm: rlzoo's own, then installed plugins'."""
    return [*ALGOS.values(), *(find_spec(name) for name in paths.plugin_algorithms() if name not in ALGOS)]


def find_spec(name: str) -> AlgoSpec:
    """The algorithm of that name: rlzoo's own, an installed plugin's, or a user's class (`"package.module:Class"`).

    Raises:
        RlzooError: if there is none, with the nearest names.
    """
    name = ALIASES.get(name, name)
    if name in ALGOS:
        return ALGOS[name]
    if ":" in name:
        return _custom(name, name, "a class of your own")
    offered = paths.plugin_algorithms()
    if name in offered:
        return _custom(name, offered[name], f"from the package {offered[name].partition('.')[0].partition(':')[0]}")
    raise RlzooError(
        f"unknown algorithm {name!r}{did_you_mean(name, (*ALGOS, *ALIASES, *offered))}",
        "rlzoo list algos shows all; algo=custom algo.name=package.module:Class takes a class of your own",
    )


def _custom(name: str, entry_point: str, summary: str) -> AlgoSpec:
    return AlgoSpec(name, entry_point, backend="custom", family="custom", action_spaces=(), summary=summary)
