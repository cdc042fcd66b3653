"""Environments: from one configuration to the same vectorised environment for training, evaluation and video."""

from rlzoo.envs.make import make as make
from rlzoo.envs.make import set_episode_seeds as set_episode_seeds
from rlzoo.envs.vector.normalization import load_statistics as load_statistics
from rlzoo.envs.vector.normalization import statistics as statistics
from rlzoo.envs.vector.normalization import sync_statistics as sync_statistics
