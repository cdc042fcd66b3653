"""What can be wrong with keywords taken together, though each alone is fine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlzoo.algos.schema import space_rules
from rlzoo.algos.schema.request import Findings, Notice, Request
from rlzoo.algos.schema.space_rules import observation_kind
from rlzoo.errors import Problem


def find(request: Request) -> Findings:
    """Everything that the rules have to say."""
    for rule in _RULES:
        yield from rule(request)


def _policy_kwargs(request: Request) -> Findings:
    net_arch = request.nested("policy_kwargs", "net_arch")
    if isinstance(net_arch, Mapping):
        names = ("pi", "qf") if request.spec.family == "off_policy" else ("pi", "vf")
        wrong = set(net_arch) - set(names) or (set(names) - set(net_arch) if "qf" in names else set())
        if wrong and request.spec.backend != "custom":
            yield Problem(
                "algo.policy_kwargs.net_arch", f"names the networks {' and '.join(names)}, not {set(net_arch)}"
            )
    if request.nested("policy_kwargs", "squash_output") and "use_sde" in request.values and not request.get("use_sde"):
        yield Problem("algo.policy_kwargs.squash_output", "works with algo.use_sde=true only")
    if request.nested("policy_kwargs", "shared_lstm"):
        if request.nested("policy_kwargs", "enable_critic_lstm") is not False:
            hint = "algo.policy_kwargs.enable_critic_lstm=false"
            yield Problem("algo.policy_kwargs.shared_lstm", "leaves the critic without an LSTM of its own", hint)
        if request.nested("policy_kwargs", "share_features_extractor") is False:
            yield Problem("algo.policy_kwargs.shared_lstm", "needs a shared features extractor too")
    own_optimizer = request.nested("policy_kwargs", "optimizer_class")
    if request.get("use_rms_prop") and request.nested("policy_kwargs", "optimizer_kwargs") and own_optimizer is None:
        hint = "name the optimizer too: algo.policy_kwargs.optimizer_class=rmsprop"
        yield Problem("algo.policy_kwargs.optimizer_kwargs", "would be ignored: use_rms_prop sets its own", hint)


def _off_policy(request: Request) -> Findings:
    starts, total = request.get("learning_starts"), request.total_timesteps
    if starts is not None and starts >= total:
        yield Problem(
            "algo.learning_starts",
            f"is {starts:g} of total_timesteps={total}: it would never learn",
            f"algo.learning_starts={total // 20}, or a longer training",
        )
    frequency = request.get("train_freq")
    if isinstance(frequency, Sequence) and frequency[1] == "episode" and request.n_envs > 1:
        yield Problem(
            "algo.train_freq",
            f"counts episodes, which takes a single environment, not {request.n_envs}",
            "env.n_envs=1, or count steps: algo.train_freq=4",
        )
    size, batch = request.get("buffer_size"), request.get("batch_size")
    if size is not None and batch is not None and batch > size:
        yield Problem("algo.batch_size", f"is {batch:g}, more than the {size:g} transitions of algo.buffer_size")
    if size is not None and size < request.n_envs:
        yield Problem(
            "algo.buffer_size", f"is {size:g}, less than one transition of each of {request.n_envs} environments"
        )
    steps = request.get("n_steps")
    if size is not None and steps is not None and steps > size:
        yield Problem("algo.n_steps", f"is {steps:g}, more than the {size:g} transitions of algo.buffer_size")
    interval = request.get("target_update_interval")
    if interval is not None and interval < request.n_envs and request.spec.name in ("dqn", "qrdqn"):
        yield Notice(f"the target network is updated every {request.n_envs} steps, the number of environments")
    if (
        request.spec.name in ("ddpg", "td3")
        and "action_noise" in request.values
        and request.get("action_noise") is None
    ):
        yield Notice(
            f"{request.spec.name} acts without noise after learning_starts: 'algo.action_noise={{normal: 0.1}}'"
        )
    if request.get("use_sde_at_warmup") and not request.get("use_sde"):
        yield Problem("algo.use_sde_at_warmup", "has no effect without algo.use_sde=true")
    first, last = request.get("exploration_initial_eps"), request.get("exploration_final_eps")
    if first is not None and last is not None and last > first:
        yield Notice(f"random actions become more, from {first:g} to {last:g}")


def _replay_buffer(request: Request) -> Findings:
    if request.normalized and "replay_buffer_class" in request.values:
        if request.stacked:
            text = (
                f"cannot be with env.frame_stack: the replay of {request.spec.name} keeps raw observations, not stacks"
            )
            yield Problem("env.normalize", text, "env.frame_stack=null, or env.normalize=false")
        elif request.observation is not None and request.observation.kind == "Discrete":
            text = (
                f"cannot be with {request.observation}: Stable-Baselines3 would look for a vector at an episode's end"
            )
            yield Problem("env.normalize", text, "env.normalize=false, or 'env.wrappers={flatten: {}}'")
    chosen, n_steps = request.get("replay_buffer_class"), request.get("n_steps") or 1
    if "replay_buffer_class" not in request.values:
        return
    is_dict = request.observation is not None and observation_kind(request.observation) == "dict"
    known = request.observation is not None
    if chosen is not None and chosen != "her" and known and is_dict != (chosen == "dict"):
        hint = "algo.replay_buffer_class=null chooses by the observation"
        yield Problem("algo.replay_buffer_class", f"{chosen} does not store {request.observation}", hint)
    if n_steps > 1 and (chosen is not None or is_dict):
        reason = f"replay_buffer_class={chosen}" if chosen is not None else "Dict observations"
        yield Problem("algo.n_steps", f"has to be 1 with {reason}: returns over more steps are not stored there")
    if not request.get("optimize_memory_usage"):
        return
    if is_dict or chosen in ("dict", "her"):
        yield Problem("algo.optimize_memory_usage", "does not work with Dict observations")
    elif n_steps > 1:
        yield Problem("algo.optimize_memory_usage", "does not work with algo.n_steps above 1")
    elif request.nested("replay_buffer_kwargs", "handle_timeout_termination") is not False:
        yield Problem(
            "algo.optimize_memory_usage",
            "loses the last observation of episodes, which handle_timeout_termination needs",
            "algo.replay_buffer_kwargs.handle_timeout_termination=false",
        )


_WITHOUT = "algo.normalize_advantage=false does without"


def _rollout(request: Request) -> Findings:
    chosen = request.get("rollout_buffer_class")
    if chosen is not None and request.observation is not None:
        is_dict = observation_kind(request.observation) == "dict"
        if is_dict != (chosen == "dict"):
            hint = "algo.rollout_buffer_class=null chooses by the observation"
            yield Problem("algo.rollout_buffer_class", f"{chosen} does not store {request.observation}", hint)
    if request.spec.family != "on_policy" or request.get("n_steps") is None:
        return
    rollout = int(request.get("n_steps")) * request.n_envs
    text = f"a rollout of {rollout} steps (n_steps x n_envs)"
    normalizes, batch = request.get("normalize_advantage"), request.get("batch_size")
    if rollout > request.total_timesteps:
        yield Notice(f"{text} is longer than total_timesteps={request.total_timesteps}: it is the whole training")
    if normalizes and rollout == 1:
        message = "has to make rollouts of 2 steps or more: one advantage cannot be normalised"
        yield Problem("algo.n_steps", message, _WITHOUT)
    elif batch is not None:
        yield from _minibatches(request, int(batch), rollout, text)


def _minibatches(request: Request, batch: int, rollout: int, text: str) -> Findings:
    normalizes = request.get("normalize_advantage") and request.spec.name != "trpo"
    if normalizes and batch == 1:
        yield Problem("algo.batch_size", "has to be 2 or more: one advantage cannot be normalised", _WITHOUT)
    elif batch > rollout:
        message = f"is {batch}, more than {text}"
        if any(request.typed(key) for key in ("algo.batch_size", "algo.n_steps", "env.n_envs")):
            yield Problem("algo.batch_size", message, f"algo.batch_size={rollout} or less")
        else:
            yield Notice(f"algo.batch_size {message}: each epoch is one smaller minibatch")
    elif normalizes and rollout % batch == 1 and request.spec.name in ("maskable_ppo", "ppo_lstm"):
        yield Problem("algo.batch_size", f"{batch} leaves one step of {text}, and one advantage cannot be normalised")
    elif rollout % batch:
        yield Notice(f"algo.batch_size {batch} does not divide {text}: the last minibatch has {rollout % batch}")


def _quantiles(request: Request) -> Findings:
    dropped = request.get("top_quantiles_to_drop_per_net")
    quantiles = request.nested("policy_kwargs", "n_quantiles") or 25
    if dropped is not None and dropped >= quantiles:
        yield Problem("algo.top_quantiles_to_drop_per_net", f"is {dropped:g} of {quantiles:g} quantiles: none are left")


def _directions(request: Request) -> Findings:
    top, tried = request.get("n_top"), request.get("n_delta")
    if top is not None and tried is not None and top > tried:
        yield Problem("algo.n_top", f"is {top:g}, more than the {tried:g} directions of algo.n_delta")


def _search(request: Request) -> Findings:
    size = request.get("population_size")
    if request.spec.name == "evolution_strategies" and size is not None and size % 2:
        hint = f"algo.population_size={size + 1:g}"
        yield Problem("algo.population_size", f"is {size:g}, and has to be even: every change is tried both ways", hint)
    least, most = request.get("min_delta_std"), request.get("max_delta_std")
    if least is not None and most is not None and least > most:
        yield Problem("algo.min_delta_std", f"is {least:g}, more than algo.max_delta_std={most:g}")
    first, last = request.get("initial_temperature"), request.get("min_temperature")
    if first is not None and last is not None and last > first:
        yield Problem("algo.min_temperature", f"is {last:g}, more than algo.initial_temperature={first:g}")
    if request.spec.backend != "rlzoo" or request.action is None:
        return
    is_box = request.action.kind == "Box"
    if is_box and request.get("sample_actions"):
        yield Problem("algo.sample_actions", f"draws discrete actions, and this environment has {request.action}")
    if not is_box and request.get("squash_output"):
        yield Problem("algo.squash_output", f"is for continuous actions, and this environment has {request.action}")


def _returns(request: Request) -> Findings:
    chosen, n_episodes = request.get("normalize_returns"), request.get("n_episodes_per_update")
    if request.get("reward_to_go") is not False or chosen is None or n_episodes is None:
        return
    if chosen == "episode" or n_episodes * request.n_envs == 1:
        message = f"is {chosen}, and with algo.reward_to_go=false all steps of an episode have one return"
        yield Problem(
            "algo.normalize_returns", message, "algo.normalize_returns=batch algo.n_episodes_per_update=8, or null"
        )


def _planning(request: Request) -> Findings:
    if request.spec.family == "planning" and request.n_envs > 1:
        message = f"is {request.n_envs}, and {request.spec.name} plans in the dynamics of a single environment"
        yield Problem("env.n_envs", message, "env.n_envs=1")


def _fixed_policy(request: Request) -> Findings:
    actions = request.get("actions")
    if request.spec.family != "tabular" or actions is None or request.observation is None or request.action is None:
        return
    listed = actions if isinstance(actions, Sequence) else [actions]
    (n_states, *_), (n_actions, *_) = request.observation.shape, request.action.shape
    if len(listed) != n_states:
        yield Problem("algo.actions", f"has {len(listed)} actions, and there are {n_states} states: one for each")
    elif any(action != int(action) or action >= n_actions for action in listed):
        yield Problem("algo.actions", f"must be whole numbers below {n_actions}, the number of actions")


_RULES = (
    space_rules.actions,
    space_rules.observations,
    space_rules.goals,
    _policy_kwargs,
    _off_policy,
    _replay_buffer,
    _rollout,
    _quantiles,
    _directions,
    _search,
    _returns,
    _planning,
    _fixed_policy,
)
