"""One small configuration of every algorithm, and of the variants that take other ways: words of `rlzoo train`.

The contract suite, exact resume, the ends of trainings and the stop rules are run over this table, which has to name
every algorithm of the registry: `algo` or `algo-variant`. Each trains for a second or two.
"""

from __future__ import annotations

from rlzoo.algos.specs import ALGOS

SHORT = ("env.max_steps=30",)
ROLLOUT = ("algo.n_steps=32", "algo.batch_size=16", "total_timesteps=256", *SHORT)
REPLAY = ("algo.learning_starts=40", "algo.batch_size=16", "algo.buffer_size=1000", "total_timesteps=150", *SHORT)
NET = ("algo.policy_kwargs={net_arch: [16]}",)
QUANTILES = ("algo.policy_kwargs={n_quantiles: 5, net_arch: [8]}",)
ACROSS = [2, 2, 1, 0, 1, 0, 1, 0, 2, 2, 1, 0, 0, 2, 2, 0]
"""A way over the lake of 4 x 4."""
LAKE = ("env=FrozenLake", "total_timesteps=400")
RAINBOW_LITE = {"double": True, "dueling": True, "prioritized": True, "n_steps": 3}

_WORDS: dict[str, tuple[str, ...]] = {
    "a2c": ("env=CartPole", "env.n_envs=2", "total_timesteps=320", *SHORT, *NET),
    "ars": ("env=CartPole", "algo.n_delta=2", "algo.zero_policy=false", *NET, "total_timesteps=400", *SHORT),
    "crossq": ("env=Pendulum", *REPLAY, *NET, "total_timesteps=110"),
    "ddpg": ("env=Pendulum", *REPLAY, *NET, "algo.action_noise={normal: 0.1}"),
    "dqn": ("env=CartPole", *REPLAY, *NET, "env.n_envs=2", "algo.target_update_interval=20"),
    "dqn-her": ("env=BitFlipping", "algo.replay_buffer_class=her", *REPLAY[:4], *NET),
    "maskable_ppo": ("env=TaxiMasked", *ROLLOUT, *NET),
    "ppo": ("env=CartPole", *ROLLOUT, *NET, "env.n_envs=2", "algo.learning_rate={exponential: 0.01}"),
    "ppo-gsde": ("env=Pendulum", *ROLLOUT, *NET, "algo.use_sde=true", "env.normalize=true"),
    "ppo-subproc": ("env=LunarLander", *ROLLOUT, *NET, "env.n_envs=2", "env.vec_env=subproc", "env.normalize=true"),
    "ppo_lstm": ("env=CartPole", *ROLLOUT, "algo.policy_kwargs={lstm_hidden_size: 8, net_arch: [8]}"),
    "qrdqn": ("env=CartPole", *REPLAY, *QUANTILES),
    "sac": ("env=Pendulum", *REPLAY, *NET, "env.n_envs=2", "algo.learning_rate={linear: 0.001}"),
    "sac-noise": ("env=Pendulum", *REPLAY, *NET, "env.n_envs=2", "algo.action_noise={ornstein_uhlenbeck: 0.1}"),
    "sac-gsde": ("env=Pendulum", *REPLAY, *NET, "algo.use_sde=true", "algo.ent_coef=0.1"),
    "td3": (
        *("env=Pendulum", *REPLAY, *NET, "algo.train_freq=[1, episode]"),
        "algo.action_noise={ornstein_uhlenbeck: {sigma: 0.2}}",
    ),
    "tqc": ("env=Pendulum", *REPLAY, *QUANTILES),
    "trpo": ("env=CartPole", *ROLLOUT, *NET, "algo.learning_rate={cosine: [0.01, 0.001]}"),
    "dqn_scratch": ("env=CartPole", *REPLAY, "algo.net_arch=[16]", "env.n_envs=2", "algo.target_update_interval=20"),
    "dqn_scratch-rainbow": (
        *("env=CartPole", *REPLAY, "algo.net_arch=[16]", "env.n_envs=2", "algo.buffer_size=100"),
        *(f"algo.{key}={str(value).lower()}" for key, value in RAINBOW_LITE.items()),
    ),
    "ppo_scratch": ("env=CartPole", *ROLLOUT, "algo.net_arch=[16]", "env.n_envs=2"),
    "ppo_scratch-continuous": ("env=Pendulum", *ROLLOUT, "algo.clip_range_vf=null", "env.normalize=true"),
    "reinforce": ("env=CartPole", "env.n_envs=2", "total_timesteps=400", *SHORT),
    "reinforce-baseline": (
        *("env=Pendulum", "env.n_envs=2", "algo.baseline=true", "algo.n_episodes_per_update=2"),
        *("algo.normalize_returns=batch", "algo.learning_rate={linear: 0.01}", "total_timesteps=800", *SHORT),
    ),
    "actor_critic": ("env=CartPole", "env.n_envs=2", "total_timesteps=400", *SHORT),
    "actor_critic-continuous": (
        "env=Pendulum",
        "algo.ent_coef=0.01",
        "algo.net_arch=[16]",
        "total_timesteps=300",
        *SHORT,
    ),
    "q_learning": ("env.n_envs=2", *LAKE),
    "q_learning-table": ("env=CliffWalking", "total_timesteps=800", *SHORT),
    "sarsa": ("env.n_envs=2", *LAKE),
    "expected_sarsa": ("env.n_envs=2", *LAKE),
    "monte_carlo": ("env.n_envs=2", *LAKE),
    "monte_carlo-table": ("env=CliffWalking", "algo.learning_rate=null", "total_timesteps=800", *SHORT),
    "dyna_q": LAKE,
    "td0": (f"algo.actions={ACROSS}", "env.n_envs=2", *LAKE),
    "mc_prediction": (f"algo.actions={ACROSS}", *LAKE),
    "value_iteration": (*LAKE, "algo.theta=1e-300"),
    "policy_iteration": ("env=FrozenLake8x8", "algo.theta=1e-15", "total_timesteps=400"),
    "hill_climbing": ("env=CartPole", "env.n_envs=2", "algo.n_eval_episodes=2", "total_timesteps=400", *SHORT),
    "simulated_annealing": ("env=CartPole", "algo.sample_actions=true", "total_timesteps=400", *SHORT),
    "cem": ("env=Pendulum", "env.n_envs=2", "algo.population_size=3", "total_timesteps=900", *SHORT),
    "evolution_strategies": (
        *("env=CartPole", "env.n_envs=2", "algo.population_size=4", "algo.net_arch=[4]"),
        *("total_timesteps=900", *SHORT),
    ),
}
SMALL = {name: (f"algo={name.partition('-')[0]}", "hyperparams=none", *words) for name, words in _WORDS.items()}


def loops() -> list[str]:
    """The algorithms that step environments in loops of their own: ours, and the first of each family of the others."""
    first = {(spec.backend, spec.family): name for name, spec in reversed(ALGOS.items())}
    steps = {name for name, spec in ALGOS.items() if spec.backend == "rlzoo" and spec.family != "planning"}
    return [name for name in ALGOS if name in steps or (ALGOS[name].backend != "rlzoo" and name in first.values())]
