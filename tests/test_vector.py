"""The vector environment, against one trial at a time in plain Python."""

import copy
import pickle

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fbx_env import ReachGymEnv, ReachVectorEnv, make

pytestmark = pytest.mark.optimised

NOISY = {
    "max_steps_in_episode": 7,
    "sensory_delay": 2,
    "motor_delay": 1,
    "sensory_noise": 0.1,
    "signal_noise": 0.3,
    "time_in_observation": True,
}
MODES = list(AutoresetMode)


class PlainVector:
    """What Gymnasium says of autoreset, with a loop over single environments."""

    def __init__(self, n_trials, mode, **keywords):
        self.envs = [ReachGymEnv(**keywords) for _ in range(n_trials)]
        self.mode = mode
        self.ended = [False] * n_trials
        self.observations = [None] * n_trials

    def reset(self, seeds, mask, points):
        infos = [None] * len(self.envs)
        for i, env in enumerate(self.envs):
            if mask[i]:
                self.observations[i], infos[i] = env.reset(seed=seeds[i], options=points[i])
                self.ended[i] = False
        return np.stack(self.observations), infos

    def step(self, actions):
        results = []
        for i, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            final = None
            if self.ended[i] and self.mode is AutoresetMode.NEXT_STEP:
                obs, info = env.reset()
                reward, terminated = 0.0, False
            else:
                obs, reward, terminated, _, info = env.step(action)
                if terminated and self.mode is AutoresetMode.SAME_STEP:
                    final = (obs, info)
                    obs, info = env.reset()
            self.observations[i] = obs
            self.ended[i] = terminated and self.mode is not AutoresetMode.SAME_STEP
            results.append((obs, reward, terminated, info, final))
        return results


def of_trial(infos, i):
    """What a vector environment's information says of one trial, as the single one says it."""
    told = {}
    for name, value in infos.items():
        if not name.startswith("_") and infos[f"_{name}"][i]:
            told[name] = of_trial(value, i) if isinstance(value, dict) else value[i]
    return told


@pytest.mark.parametrize("mode", MODES)
def test_thousands_of_steps_agree_with_plain_python(mode, unchecked):
    n_trials = 3
    rng = np.random.default_rng(MODES.index(mode))
    envs = ReachVectorEnv(n_trials, autoreset_mode=mode, **NOISY)
    plain = PlainVector(n_trials, mode, **NOISY)
    everywhere = np.ones(n_trials, bool)
    obs, infos = envs.reset(seed=0)
    plain_obs, plain_infos = plain.reset([0, 1, 2], everywhere, [None] * 3)
    np.testing.assert_array_equal(obs, plain_obs)

    n_ends = 0
    for _ in range(4_000):
        ended = np.array(plain.ended)
        mask = rng.random(n_trials) < 0.02
        if mode is AutoresetMode.DISABLED:
            mask |= ended
        if mask.any():
            seed = [None, int(rng.integers(1000)), [int(s) for s in rng.integers(99, size=3)]]
            seed = seed[rng.integers(3)]
            seeds = [seed + i for i in range(3)] if isinstance(seed, int) else seed or [None] * 3
            options, points = {}, [{}, {}, {}]
            if rng.random() < 0.5:
                options["goal"] = rng.uniform(-1, 1, (3, 2))
                points = [{"goal": goal} for goal in options["goal"]]
            if mask.all():
                mask = everywhere
            else:
                options["reset_mask"] = mask
            obs, infos = envs.reset(seed=seed, options=options)
            plain_obs, plain_infos = plain.reset(seeds, mask, points)
            np.testing.assert_array_equal(obs, plain_obs)
            for i, info in enumerate(plain_infos):
                assert of_trial(infos, i) == (info or {})

        actions = rng.normal(scale=4, size=(n_trials, 2)).astype(np.float32)
        obs, rewards, terminations, truncations, infos = envs.step(actions)
        assert not truncations.any()
        for i, (obs_i, reward, terminated, info, final) in enumerate(plain.step(actions)):
            np.testing.assert_array_equal(obs[i], obs_i)
            assert (rewards[i], terminations[i]) == (reward, terminated)
            told = of_trial(infos, i)
            if final is not None:
                np.testing.assert_array_equal(told.pop("final_obs"), final[0])
                assert told.pop("final_info") == final[1]
                rewards[i] = reward
            assert told == info
        n_ends += terminations.sum()
    assert n_ends > 800


@pytest.mark.parametrize("mode", MODES)
def test_the_same_as_gymnasiums_own_vector_of_singles(mode):
    ours = gymnasium.make_vec("PointMassReach-v0", num_envs=3, autoreset_mode=mode, **NOISY)
    theirs = SyncVectorEnv([lambda: ReachGymEnv(**NOISY)] * 3, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    results = [envs.reset(seed=4) for envs in (ours, theirs)]
    alike(*results)
    for step in range(30):
        actions = rng.normal(size=(3, 2)).astype(np.float32)
        results = [envs.step(actions) for envs in (ours, theirs)]
        alike(*results)
        if mode is AutoresetMode.DISABLED and (step + 1) % 7 == 0:
            mask = np.ones(3, bool)
            alike(*[envs.reset(options={"reset_mask": mask}) for envs in (ours, theirs)])


def alike(one, other):
    """The same nesting, names and values."""
    assert isinstance(one, dict) == isinstance(other, dict)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            alike(one[name], other[name])
    elif isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            alike(a, b)
    elif one.dtype == object:
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n_trials", [1, 5, 100])
def test_every_bit_is_that_of_gymnax(n_trials, key):
    """Given the same trials and commands, and without noise."""
    keywords = {"max_steps_in_episode": 20, "mass": 1.7, "damping": 0.3, "motor_delay": 1}
    envs = ReachVectorEnv(n_trials, **keywords)
    env, params = make(**keywords)
    obs, _ = envs.reset(seed=0)
    alone = [env.reset(key, params)[1] for _ in range(5)][:n_trials]
    for i, state in enumerate(alone):
        trial = state.trial.replace(start=obs[i, 4:6], goal=obs[i, :2])
        alone[i] = env.reset_trial(key, trial, params)[1]
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    step_together = jax.jit(jax.vmap(env.step, (None, 0, 0, None)))
    for step in range(20):
        actions = np.random.default_rng(step).normal(size=(n_trials, 2)).astype(np.float32)
        obs, rewards, terminations, _, _ = envs.step(actions)
        _, together, many_rewards, *_ = step_together(key, together, actions[:5], params)
        np.testing.assert_array_equal(rewards[:5], many_rewards)
        for i, state in enumerate(alone):
            _, alone[i], reward, terminated, _, info = env.step(key, state, actions[i], params)
            np.testing.assert_array_equal(obs[i], info["final_observation"])
            assert (rewards[i], terminations[i]) == (reward, terminated)


def test_arrays_are_the_callers_own():
    envs = ReachVectorEnv(4, max_steps_in_episode=2)
    obs, _ = envs.reset(seed=0)
    before = obs.copy()
    results = envs.step(np.ones((4, 2), np.float32))
    np.testing.assert_array_equal(obs, before)
    assert [array.dtype for array in results[:4]] == [np.float32, np.float32, bool, bool]
    for array in (obs, *results[:4], results[4]["distance"]):
        assert array.flags.owndata
        array[...] = 1
    _, _, terminations, _, _ = envs.step(np.ones((4, 2), np.float32))
    assert terminations.all()
    terminations[...] = False
    _, rewards, _, _, _ = envs.step(np.ones((4, 2), np.float32))
    assert (rewards == 0).all()


def test_made_by_gymnasium_without_a_warning():
    for mode in ("NextStep", "SameStep", AutoresetMode.DISABLED):
        envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=5, autoreset_mode=mode)
        assert isinstance(envs, ReachVectorEnv)
        assert envs.metadata["autoreset_mode"] is AutoresetMode(mode)
        assert envs.observation_space.shape == (5, 8)
        assert envs.reset(seed=1)[0] in envs.observation_space
        assert envs.action_space.shape == (5, 2)
    assert "autoreset_mode" not in ReachVectorEnv.metadata
    assert repr(envs) == "ReachVectorEnv(PointMassReach-v0, num_envs=5)"


def test_made_by_gymnasium_as_a_loop_over_singles():
    theirs = gymnasium.make_vec(
        "fbx_env:PointMassReach-v0", num_envs=2, vectorization_mode="sync", mass=2.0
    )
    assert isinstance(theirs, SyncVectorEnv)
    ours = ReachVectorEnv(2, mass=2.0)
    alike(theirs.reset(seed=3), ours.reset(seed=3))
    alike(theirs.step(np.ones((2, 2), np.float32)), ours.step(np.ones((2, 2), np.float32)))


def test_gymnasiums_vector_wrappers_work():
    wrappers = gymnasium.wrappers.vector
    envs = gymnasium.make_vec("PointMassReach-v0", num_envs=4, max_steps_in_episode=5)
    envs = wrappers.RescaleAction(envs, np.float32(-1), np.float32(1))
    envs = wrappers.RecordEpisodeStatistics(envs)
    envs = wrappers.NormalizeReward(wrappers.NormalizeObservation(envs))
    envs.reset(seed=0)
    lengths = []
    for _ in range(12):
        *_, infos = envs.step(np.zeros((4, 2), np.float32))
        if "episode" in infos:
            lengths.append(infos["episode"]["l"][infos["_episode"]].tolist())
    assert lengths == [[5] * 4, [5] * 4]


def test_a_copy_goes_on_by_itself():
    original = ReachVectorEnv(3, **NOISY)
    original.reset(seed=3)
    original.step(np.ones((3, 2)))
    deep, pickled = copy.deepcopy(original), pickle.loads(pickle.dumps(original))
    for _ in range(9):
        expected = original.step(np.ones((3, 2)))
        alike(deep.step(np.ones((3, 2))), expected)
    for _ in range(3):
        original.step(np.full((3, 2), 2.0))
    other = ReachVectorEnv(3, **NOISY)
    other.reset(seed=3)
    other.step(np.ones((3, 2)))
    for _ in range(9):
        alike(pickled.step(np.ones((3, 2))), other.step(np.ones((3, 2))))


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_works_in_other_processes(context):
    envs = gymnasium.make_vec(
        "fbx_env:PointMassReach-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": context},
    )
    try:
        alike(envs.reset(seed=3)[0], ReachVectorEnv(2).reset(seed=3)[0])
        envs.step(np.zeros((2, 2), np.float32))
    finally:
        envs.close()


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"num_envs": 0}, ValueError, "num_envs must be at least 1, got 0"),
        ({"num_envs": 2.0}, TypeError, "num_envs must be a whole number"),
        ({"autoreset_mode": "Never"}, ValueError, "autoreset_mode must be .* 'SameStep'"),
        ({"autoreset_mode": "same_step"}, ValueError, "'Disabled', got 'same_step'"),
        ({"success_speed": [1.0, 2.0]}, ValueError, "success_speed must have shape"),
        ({"max_episode_steps": 5}, TypeError, "unexpected keyword argument 'max_episode_steps'"),
        ({"env_id": "PointMassReach"}, ValueError, "no environment 'PointMassReach'; did you mean"),
        ({"env_id": 3}, TypeError, "id must be a str, got 3"),
    ],
)
def test_bad_keywords_are_named(keywords, error, message):
    with pytest.raises(error, match=message):
        ReachVectorEnv(**keywords)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reset_mask": np.zeros(3, bool)}, ValueError, "reset_mask must choose a trial"),
        ({"reset_mask": np.ones(2, bool)}, ValueError, r"shape \(3,\), got \(2,\)"),
        ({"reset_mask": np.ones(3)}, TypeError, "a boolean NumPy array, got float64"),
        ({"reset_mask": [True] * 3}, TypeError, "must be a boolean NumPy array, got list"),
        ({"goal": np.zeros((2, 2))}, ValueError, r"shape \(2,\) or \(3, 2\), got \(2, 2\)"),
        ({"start": np.full((3, 2), np.inf)}, ValueError, "start must be finite"),
        ({"goal": [[0.0], [0.0, 1.0]]}, TypeError, "goal must be an array of numbers, got"),
        ({"gaol": (0, 0)}, ValueError, "unknown option 'gaol'; allowed are start, goal, reset_m"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(arguments, error, message):
    envs, twin = ReachVectorEnv(3, **NOISY), ReachVectorEnv(3, **NOISY)
    alike(envs.reset(seed=0), twin.reset(seed=0))
    with pytest.raises(error, match=message):
        envs.reset(seed=1, options=arguments)
    alike(envs.step(np.ones((3, 2))), twin.step(np.ones((3, 2))))
    alike(envs.reset(), twin.reset())


def test_bad_seeds_and_actions_are_refused_and_change_nothing():
    envs, twin = ReachVectorEnv(3, **NOISY), ReachVectorEnv(3, **NOISY)
    with pytest.raises(ResetNeeded, match="no trial is under way"):
        envs.step(np.zeros((3, 2)))
    with pytest.raises(ResetNeeded, match="the first reset must start all trials"):
        envs.reset(options={"reset_mask": np.array([True, False, True])})
    alike(envs.reset(seed=0), twin.reset(seed=0))
    with pytest.raises(ValueError, match="one for each of 3 trials, got 2"):
        envs.reset(seed=[1, 2])
    with pytest.raises(gymnasium.error.Error, match="greater or equal to zero"):
        envs.reset(seed=[1, 2, -3])
    for wrong in (1.5, np.array(3), {0: 1, 1: 2, 2: 3}, "abc", True, [1, 2, 3.5], [[1], [2], [3]]):
        with pytest.raises(TypeError, match="seed must be None or a whole number, got"):
            envs.reset(seed=wrong)
    with pytest.raises(TypeError, match="actions must be an array of numbers, got"):
        envs.step([[1.0], [1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"actions must have shape \(3, 2\), got \(2,\)"):
        envs.step(np.zeros(2))
    with pytest.raises(ValueError, match="actions must be finite"):
        envs.step(np.full((3, 2), np.nan))
    with pytest.raises(TypeError, match="actions must be an array of numbers"):
        envs.step(np.zeros((3, 2), object))
    alike(envs.step(np.ones((3, 2))), twin.step(np.ones((3, 2))))


def test_without_autoreset_ended_trials_must_be_reset():
    envs = ReachVectorEnv(3, autoreset_mode=AutoresetMode.DISABLED, max_steps_in_episode=2)
    envs.reset(seed=0)
    envs.step(np.zeros((3, 2)))
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    _, _, terminations, _, _ = envs.step(np.zeros((3, 2)))
    assert terminations.tolist() == [True, False, True]
    with pytest.raises(ResetNeeded, match=r"trials \[0, 2\] have ended: call reset\(options="):
        envs.step(np.zeros((3, 2)))
    envs.reset(options={"reset_mask": terminations})
    _, _, terminations, _, _ = envs.step(np.zeros((3, 2)))
    assert terminations.tolist() == [False, True, False]


def test_seeds_may_be_of_numpy():
    envs, twin = ReachVectorEnv(3), ReachVectorEnv(3)
    alike(envs.reset(seed=np.int64(5)), twin.reset(seed=5))
    for seeds in (np.array([7, 8, 9]), [np.uint32(7), np.int16(8), 9], range(7, 10)):
        alike(envs.reset(seed=seeds), twin.reset(seed=[7, 8, 9]))


def test_a_generator_of_ones_own_is_used_from_the_next_reset():
    """As in the single environment; a seed for some trials leaves the others theirs."""
    envs, twin = ReachVectorEnv(3), ReachVectorEnv(3)
    alike(envs.reset(seed=1), twin.reset(seed=1))
    for each in (envs, twin):
        each.np_random = np.random.default_rng(4)
    alike(envs.reset(), twin.reset())
    fresh = ReachVectorEnv(3)
    fresh.np_random = np.random.default_rng(4)
    twin.np_random = np.random.default_rng(4)
    alike(twin.reset(), fresh.reset())

    mask = np.array([True, False, False])
    envs.reset(seed=[1, 2, 3])
    twin.reset(seed=[1, 2, 3])
    envs.reset(seed=9, options={"reset_mask": mask})
    twin.reset(seed=[9, None, None], options={"reset_mask": mask})
    alike(envs.reset(), twin.reset())


def test_actions_of_trials_that_only_start_anew_are_not_looked_at():
    envs, twin = ReachVectorEnv(2, **NOISY), ReachVectorEnv(2, **NOISY)
    for each in (envs, twin):
        each.reset(seed=0)
        for _ in range(3):
            each.step(np.ones((2, 2)))
        each.reset(options={"reset_mask": np.array([False, True])})
        for _ in range(4):
            _, _, terminations, _, _ = each.step(np.ones((2, 2)))
        assert terminations.tolist() == [True, False]
    given = np.array([[np.nan, np.inf], [1.0, 1.0]])
    with pytest.raises(ValueError, match="actions must be finite"):
        envs.step(given[::-1])
    alike(envs.step(given), twin.step(np.ones((2, 2))))
    with pytest.raises(ValueError, match="actions must be finite"):
        envs.step(given)
    alike(envs.step(np.ones((2, 2))), twin.step(np.ones((2, 2))))
