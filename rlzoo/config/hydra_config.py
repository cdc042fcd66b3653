"""Hydra's part: which files a request is made of. The only module that sees Hydra's config loader."""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import OmegaConf

from rlzoo.config import files, paths
from rlzoo.errors import RlzooError

OWN_OF_HYDRA = "hydra/config"
"""Hydra's settings of its own launchers, loggers and folders, some twenty files; none of them is used here."""


class RlzooConfigSource(ConfigSource):
    """Serves the files that `config.files` finds. Only their defaults lists: values are merged in `config.compose`."""

    @staticmethod
    def scheme() -> str:
        return "rlzoo"

    def load_config(self, config_path: str) -> ConfigResult:
        if self._name(config_path) == OWN_OF_HYDRA:
            return ConfigResult(self.provider, f"{self.scheme()}://", OmegaConf.create({}), {"package": "hydra"})
        found = files.find(self._name(config_path))
        if found is None:
            raise RlzooError(f"there is no configuration file {config_path}")
        is_tuned_set = config_path.startswith("hyperparams/")  # which has no say in what takes part
        try:
            defaults = None if is_tuned_set else found.read().values.get("defaults")
        except RlzooError:
            defaults = None  # the merge reads it again and reports the mistake among the others
        package = "_global_" if config_path.split("/")[0] in files.GLOBAL_GROUPS else None
        content = OmegaConf.create({} if defaults is None else {"defaults": defaults})
        return ConfigResult(self.provider, f"{self.scheme()}://", content, {"package": package})

    def is_group(self, config_path: str) -> bool:
        return files.is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        return self._name(config_path) == OWN_OF_HYDRA or files.find(self._name(config_path)) is not None

    def available(self) -> bool:
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if results_filter == ObjectType.GROUP or not config_path:
            return []
        return files.options(config_path)

    @staticmethod
    def _name(config_path: str) -> str:
        return config_path.removesuffix(".yaml")


class RlzooSearchPath(SearchPathPlugin):
    """Puts rlzoo's source before all others."""

    def manipulate_search_path(self, search_path: Any) -> None:
        search_path.prepend("rlzoo", "rlzoo://conf")


def defaults_list(
    command: str, group_words: list[str]
) -> tuple[list[tuple[str, str]], dict[str, Any], dict[str, str | None]]:
    """Resolve a command's defaults list with the chosen groups.

    Returns:
        The files in the order they are merged, each as (config path, package), the choice made in each group, and the
        file in whose defaults list each is.

    Raises:
        RlzooError: if a defaults list names what does not exist.
    """
    entries, choices, parents = _resolve(command, tuple(group_words), files.fingerprint())
    return list(entries), dict(choices), dict(parents)


@lru_cache(maxsize=1024)
def _resolve(
    command: str, group_words: tuple[str, ...], _files: Hashable
) -> tuple[list[tuple[str, str]], dict[str, Any], dict[str, str | None]]:
    """As above. Most of the time of a composition is spent here, and the jobs of a sweep differ in values only."""
    from hydra.errors import HydraException

    try:
        result = _loader().compute_defaults_list(command, list(group_words), RunMode.RUN)
    except HydraException as error:
        reason = re.split(r" Config search path:| Available options in", " ".join(str(error).split()))[0]
        raise RlzooError(reason, "its defaults list names files of the same folder, without .yaml") from error
    except RecursionError:
        raise RlzooError("the defaults lists of these choices name each other in a circle") from None
    entries = [
        (entry.config_path, entry.package or "")
        for entry in result.defaults
        if entry.config_path is not None and not entry.config_path.startswith(("hydra/", "_dummy_"))
    ]
    parents = {entry.config_path: entry.parent for entry in result.defaults if entry.config_path is not None}
    return entries, dict(result.overrides.known_choices), parents


@lru_cache(maxsize=1)
def _loader() -> Any:
    from hydra._internal.sources_registry import SourcesRegistry

    plugins = Plugins.instance()
    plugins.register(RlzooConfigSource)
    plugins.register(RlzooSearchPath)
    SourcesRegistry.instance().register(RlzooConfigSource)
    version_base = {"version_base": "1.3"} if hydra.__version__.startswith("1.3") else {}
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        hydra.initialize_config_dir(str(paths.root() / "conf"), job_name="rlzoo", **version_base)
        return GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().hydra = previous
