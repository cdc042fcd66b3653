"""The words that stand for objects in a configuration: activations, optimizers, schedules, noises, buffers.

References are text, `"package.module:Class"`, so that checking a word imports nothing.
"""

from __future__ import annotations

ACTIVATIONS = {
    "relu": "torch.nn:ReLU",
    "tanh": "torch.nn:Tanh",
    "elu": "torch.nn:ELU",
    "gelu": "torch.nn:GELU",
    "silu": "torch.nn:SiLU",
    "leaky_relu": "torch.nn:LeakyReLU",
    "selu": "torch.nn:SELU",
    "mish": "torch.nn:Mish",
    "softplus": "torch.nn:Softplus",
    "sigmoid": "torch.nn:Sigmoid",
}

OPTIMIZERS = {
    "adam": "torch.optim:Adam",
    "adamw": "torch.optim:AdamW",
    "nadam": "torch.optim:NAdam",
    "rmsprop": "torch.optim:RMSprop",
    "rmsprop_tf_like": "stable_baselines3.common.sb2_compat.rmsprop_tf_like:RMSpropTFLike",
    "sgd": "torch.optim:SGD",
}

FEATURES_EXTRACTORS = {
    "flatten": "stable_baselines3.common.torch_layers:FlattenExtractor",
    "nature_cnn": "stable_baselines3.common.torch_layers:NatureCNN",
    "combined": "stable_baselines3.common.torch_layers:CombinedExtractor",
}

REPLAY_BUFFERS = {
    "replay": "stable_baselines3.common.buffers:ReplayBuffer",
    "dict": "stable_baselines3.common.buffers:DictReplayBuffer",
    "her": "stable_baselines3.her.her_replay_buffer:HerReplayBuffer",
}

ROLLOUT_BUFFERS = {
    "rollout": "stable_baselines3.common.buffers:RolloutBuffer",
    "dict": "stable_baselines3.common.buffers:DictRolloutBuffer",
}

NOISES = {
    "normal": "stable_baselines3.common.noise:NormalActionNoise",
    "ornstein_uhlenbeck": "stable_baselines3.common.noise:OrnsteinUhlenbeckActionNoise",
}

SCHEDULES = {
    "constant": ("value",),
    "linear": ("start", "end", "end_fraction"),
    "exponential": ("start", "end", "end_fraction"),
    "cosine": ("start", "end", "end_fraction"),
}
"""Schedules and their numbers in order: `{linear: 1}` gives the first, `{linear: [1, 0]}` the first two, and so on.

They run from `start` at the beginning of training to `end` (0; a hundredth of `start` for exponential) when
`end_fraction` of it (all) is done, and stay there.
"""

CLASSES = {
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "features_extractor": FEATURES_EXTRACTORS,
    "replay_buffer": REPLAY_BUFFERS,
    "rollout_buffer": ROLLOUT_BUFFERS,
}
"""The tables whose words stand for classes, by the name of the type in a signature."""

TEXTS = {
    "ent_coef": (r"auto(_[^_]+)?", "auto, or auto_ and where to start from: auto_0.1"),
    "target_entropy": (r"auto", "auto"),
    "clip_range_vf": (r"auto", "auto, which is clip_range"),
    "goal_selection_strategy": (r"future|final|episode", "future, final or episode"),
    "normalize_returns": (r"episode|batch", "episode or batch"),
}
"""Texts that a keyword takes, as a pattern and in words."""

NOT_HYPERPARAMETERS = {
    "env": "the environment is chosen with env=",
    "seed": "is a setting of the whole run: seed=",
    "device": "is a setting of the whole run: device=",
    "verbose": "rlzoo shows progress itself",
    "tensorboard_log": "metrics go where logger= says",
    "_init_setup_model": "",
}
"""Constructor keywords that rlzoo sets itself, with what a user should write instead."""
