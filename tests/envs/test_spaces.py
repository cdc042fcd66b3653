import gymnasium.spaces as gs
import numpy as np
import pytest

from rlzoo.envs import spaces
from rlzoo.envs.returns import of_masks
from rlzoo.envs.spaces import Space
from rlzoo.errors import RlzooError

TEXTS = {
    "Box(8)": gs.Box(-1, 1, (8,)),
    "Box(45)": gs.Box(0, 1, (45,), np.int64),
    "Box(84, 84, 4) uint8": gs.Box(0, 255, (84, 84, 4), np.uint8),
    "Discrete(4)": gs.Discrete(4),
    "MultiDiscrete(3, 3)": gs.MultiDiscrete([3, 3]),
    "MultiBinary(5)": gs.MultiBinary(5),
    "Dict(a: Box(3), b: Dict(c: Discrete(2), d: Box(2, 2)))": gs.Dict(
        {"b": gs.Dict({"d": gs.Box(0, 1, (2, 2)), "c": gs.Discrete(2)}), "a": gs.Box(0, 1, (3,))}
    ),
    'Dict("": Box(0), <1>: Text, "a, (b: ": MultiDiscrete(3, 2, 2, 4) array)': gs.Dict(
        {"": gs.Box(0, 1, (0,)), "a, (b: ": gs.MultiDiscrete([[3, 2], [2, 4]]), 1: gs.Text(3)}
    ),
    "Box(4, 4, 3) uint8 bounded": gs.Box(0, 1, (4, 4, 3), np.uint8),
    "Tuple(Discrete(32), Discrete(11), Discrete(2))": gs.Tuple((gs.Discrete(32), gs.Discrete(11), gs.Discrete(2))),
}


@pytest.mark.parametrize(("text", "space"), TEXTS.items())
def test_there_and_back(text, space):
    assert spaces.describe(space) == text
    assert str(spaces.parse(text)) == text
    assert spaces.parse(text) == spaces.of(space)


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("Box(2)", gs.Box(-1, 1, (2,))),
        ("Box(2) unbounded", gs.Box(0, np.inf, (2,))),
        ("Box(2) fixed", gs.Box(np.float32([0, 1]), np.float32([1, 1]))),
        ("Box(2) wide", gs.Box(-3e38, 3e38, (2,))),
        ("Box(2) integer", gs.Box(0, 9, (2,), np.uint8)),
        ("MultiBinary(3)", gs.MultiBinary(3)),
        ("MultiBinary(3) array", gs.MultiBinary([3])),
    ],
)
def test_what_actions_are_like(text, space):
    assert str(spaces.of(space, acts=True)) == text
    assert spaces.parse(text) == spaces.of(space, acts=True)


def test_other_spaces_have_their_name():
    assert spaces.describe(gs.Text(5)) == "Text"


def test_blanks_do_not_matter():
    assert spaces.parse(" Box( 4,84 , 84 )uint8 ") == Space("Box", (4, 84, 84), uint8=True)


@pytest.mark.parametrize(
    "text", ["", "Box", "Box()x", "Box(a)", "Box(-1)", "Box(2.5)", "Discrete()", "Discrete(2, 3)", "Bxo(3)",
             "Discrete(3) uint8", "Dict(a)", "Dict(a: Boxx(3))", "Tuple(3)", "8"]
)  # fmt: skip
def test_what_is_no_space_is_refused(text):
    with pytest.raises(RlzooError):
        spaces.parse(text)


def test_a_misspelt_kind_is_recognised():
    with pytest.raises(RlzooError, match="did you mean 'Discrete'"):
        spaces.parse("Discret(3)")


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("Box(8)", 4, "Box(32)"),
        ("Box(2, 3)", 2, "Box(2, 6)"),
        ("Box(84, 84, 1) uint8", 4, "Box(84, 84, 4) uint8"),
        ("Box(3, 64, 64) uint8", 2, "Box(6, 64, 64) uint8"),
        ("Dict(a: Box(3), i: Box(9, 9, 1) uint8)", 2, "Dict(a: Box(6), i: Box(9, 9, 2) uint8)"),
    ],
)
def test_stacking_is_stable_baselines(text, n, expected):
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    assert str(spaces.stacked(spaces.parse(text), n)) == expected

    import gymnasium

    class Env(gymnasium.Env):
        action_space = gs.Discrete(2)
        observation_space = _space(spaces.parse(text))

    env = VecFrameStack(DummyVecEnv([Env]), n)
    assert spaces.describe(env.observation_space) == expected


def _space(space):
    if space.kind == "Dict":
        return gs.Dict({name: _space(part) for name, part in space.parts})
    return gs.Box(0, 255, space.shape, np.uint8) if space.uint8 else gs.Box(-1, 1, space.shape)


def test_channels_go_first():
    assert str(spaces.channels_first(spaces.parse("Box(96, 96, 3) uint8"))) == "Box(3, 96, 96) uint8"
    assert str(spaces.channels_first(spaces.parse("Box(3, 96, 96) uint8"))) == "Box(3, 96, 96) uint8"
    assert str(spaces.channels_first(spaces.parse("Box(96, 96, 3)"))) == "Box(96, 96, 3)"


def test_channels_have_one_place():
    with pytest.raises(RlzooError, match="others with the channels last"):
        spaces.channels_first(spaces.parse("Dict(a: Box(96, 96, 3) uint8, b: Box(3, 96, 96) uint8)"))
    with pytest.raises(RlzooError, match="while these are fewest"):
        spaces.stacked(spaces.parse("Box(40, 40, 3) uint8"), 16)


def test_only_boxes_stack():
    with pytest.raises(RlzooError, match="Discrete"):
        spaces.stacked(spaces.parse("Discrete(3)"), 2)


MASKS = (
    (gs.Discrete(3), [0, 1, 1], {(1,), (2,)}),
    (gs.MultiDiscrete([2, 3]), [0, 1, 1, 0, 1], {(1, 0), (1, 2)}),
    (gs.MultiBinary(3), [1, 0, 0, 1, 1, 1], {(0, 1, 0), (0, 1, 1)}),
)


@pytest.mark.parametrize(("space", "masks", "expected"), MASKS, ids=["discrete", "multi_discrete", "multi_binary"])
def test_actions_are_drawn_of_those_that_masks_allow(space, masks, expected):
    drawn = {tuple(np.atleast_1d(spaces.sample(space, np.array(masks, bool))).tolist()) for _ in range(64)}
    assert drawn == expected
    space.seed(0)
    assert len({tuple(np.atleast_1d(spaces.sample(space)).tolist()) for _ in range(64)}) > len(expected)


@pytest.mark.parametrize(("space", "masks", "expected"), MASKS[1:], ids=["multi_discrete", "multi_binary"])
def test_a_part_of_an_action_without_any_value_is_named(space, masks, expected):
    assert list(of_masks(np.array(masks, bool), space)) == []
    (misfit,) = of_masks(np.array([0, 0, *masks[2:]], bool), space)
    assert "no value of part 0" in misfit.message
