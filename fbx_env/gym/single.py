"""The environment as Gymnasium sees it: one trial at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from jaxtyping import Bool, Float, UInt32

from fbx_env import checks
from fbx_env.gym.batch import ReachBatch, refuse_fork
from fbx_env.params import ReachParams
from fbx_env.registration import make
from fbx_env.gym.render import MODES, Frame, Watch, Window, frame, import_pygame

SUCCESS_DISTANCE = 0.05
SUCCESS_SPEED = 0.1
NO_RENDER_MODE = (
    "render() draws nothing without a render mode: give render_mode='rgb_array' or 'human' when "
    "making the environment"
)


class Limit:
    """An attribute that takes one number greater than 0, now and whenever it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, env: Any, owner: type) -> float:
        return vars(env)[self.name]

    def __set__(self, env: Any, value: float) -> None:
        # As precise as float32, so that it compares alike with one number and with an array.
        vars(env)[self.name] = checks.number(self.name, value, above=0)


class ReachGymEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Reach a goal on the plane by commanding forces, one trial at a time.

    Observation, action, reward and end are those of ``ReachEnv``, to the last bit; the last step
    reports ``terminated=True, truncated=False``. ``info`` has

    - ``"losses"``: the weighted terms of the step's loss by name; the reward is minus their sum,
    - ``"distance"``: from the effector to the target [m], and ``"speed"`` [m/s],
    - ``"is_success"``, at the end: whether both are within their limits.

    Args:
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        success_distance: greatest distance to the target at the end of a successful trial [m].
        success_speed: greatest speed at the end of a successful trial [m/s].
        **experiment: the keywords of ``fbx_env.make``, such as ``mass`` or ``motor_delay``.

    Raises:
        TypeError: for an unknown keyword, or a value of the wrong kind.
        ValueError: for a number out of range, or an unknown render mode.
        RuntimeError: in a process forked after JAX has run, where JAX would wait forever.
        gymnasium.error.DependencyNotInstalled: for a render mode without the extra ``render``.

    Example:
        >>> env = gymnasium.make("fbx_env:PointMassReach-v0", mass=2.0)
        >>> obs, info = env.reset(seed=0, options={"start": (0, 0), "goal": (0.5, 0)})
        >>> obs, reward, terminated, truncated, info = env.step(np.array([1.0, 0.0]))
        >>> info["distance"]
        0.5
    """

    success_distance = Limit()
    success_speed = Limit()
    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        render_mode: str | None = None,
        *,
        success_distance: float = SUCCESS_DISTANCE,
        success_speed: float = SUCCESS_SPEED,
        **experiment: Any,
    ) -> None:
        refuse_fork()
        _, params = make(**experiment)
        self.render_mode = checks.choice("render_mode", render_mode, self.metadata["render_modes"])
        self.success_distance = success_distance
        self.success_speed = success_speed
        if render_mode is not None:
            import_pygame()
        self._batch = ReachBatch(params, n_trials=1)
        self._watch = Watch(n_trials=1)
        self._window = Window()
        self._generator: np.random.Generator | None = None
        self._ready = False
        self.observation_space, self.action_space = spaces(self._batch)
        self.params = params

    @property
    def params(self) -> ReachParams:
        """The experiment; others may be set at any time, also within a trial, which goes on.

        They may differ in every number, such as mass, noise, weights or ``max_steps_in_episode``,
        and in parts that need no other state. What changes the structure of state, observation or
        loss (delays, the time in the observation, terms) needs a new environment. ``action_space``
        follows ``max_force``; ``render_fps`` follows ``dt``.

        Raises:
            TypeError: if set to something else than ``ReachParams``.
            ValueError: if a number is out of range, has leading axes, or the structure changes.
        """
        return self._batch.params

    @params.setter
    def params(self, params: ReachParams) -> None:
        self._batch.params = params
        _, actions = spaces(self._batch)
        # A space of the same bounds stays, as it may have been seeded.
        if actions != self.action_space:
            self.action_space = actions
        self.metadata = {**type(self).metadata, "render_fps": frame_rate(params)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " observation"], dict[str, Any]]:
        """Start a trial.

        Args:
            seed: of all trials from this one on; without it, trials go on as seeded before.
            options: ``"start"`` and ``"goal"`` of the trial [m], two numbers each; what is not
                given is drawn.

        Raises:
            TypeError, ValueError: for other options, numbers that are not finite, or a seed that is
                not a whole number.
            gymnasium.error.Error: for a negative seed.
        """
        start, goal = trial_options(options, ("start", "goal"), (2,))
        super().reset(seed=whole_seed(seed))
        if self.np_random is not self._generator:
            self._generator = self.np_random
            self._batch.seed(np.arange(1), seed_words(self.np_random))
        row = self._batch.reset(_THE_TRIAL, start, goal)[0]
        self._ready = True
        if self.render_mode is not None:
            self._see(started=True)
        layout = self._batch.layout
        _, _, distance, speed, *_ = row[layout.scalars].tolist()
        observation = row[layout.observation].astype(np.float32)
        return observation, {"distance": distance, "speed": speed}

    def step(
        self, action: Float[np.ndarray, " action"]
    ) -> tuple[Float[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        """Command a force for one step.

        Args:
            action: the command [N], of any size; the force it leads to is limited.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, and after the end of a trial.
            TypeError, ValueError: if the action is of the wrong shape or kind, or not finite.
        """
        if not self._ready:
            raise gymnasium.error.ResetNeeded("no trial is under way: call reset() before step()")
        command = checks.command("action", action, self._batch.command_shape[1:])
        row = self._batch.step(command[None])[0]
        layout = self._batch.layout
        reward, ended, distance, speed, *losses = row[layout.scalars].tolist()
        info: dict[str, Any] = {
            "losses": dict(zip(layout.losses, losses, strict=True)),
            "distance": distance,
            "speed": speed,
        }
        if ended:
            self._ready = False
            info["is_success"] = distance <= self.success_distance and speed <= self.success_speed
        if self.render_mode is not None:
            self._see(started=False)
        observation = row[layout.observation].astype(np.float32)
        return observation, reward, bool(ended), False, info

    def render(self) -> Frame | None:
        """Draw the trial: the frame with ``"rgb_array"``; with ``"human"`` the window shows it.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
            RuntimeError: if a window is asked for and there is no display.
        """
        if self.render_mode is None:
            gymnasium.logger.warn(NO_RENDER_MODE)
            return None
        [scene] = self._watch.scenes(self._batch.rows, self._batch.layout, self.params)
        picture = frame(scene)
        if self.render_mode == "rgb_array":
            return picture
        self._window.show(picture, self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def get_keys_to_action(self) -> dict[str, Float[np.ndarray, "2"]]:
        """The keys with which ``gymnasium.utils.play`` pushes the mass: w, a, s, d and pairs.

        Raises:
            NotImplementedError: for a plant that is not pushed along the two axes of the plane.
        """
        if self.action_space.shape != (2,):
            raise NotImplementedError(
                "there are keys for forces along two axes, and this plant takes "
                f"{self._batch.command_shape[1]} numbers: give keys_to_action"
            )
        push = min(1.0, float(self.params.motor.max_force))
        keys = {"w": (0, 1), "a": (-1, 0), "s": (0, -1), "d": (1, 0)}
        keys |= {"wa": (-1, 1), "wd": (1, 1), "sa": (-1, -1), "sd": (1, -1)}
        return {key: push * np.array(way, np.float32) for key, way in keys.items()}

    def _see(self, *, started: bool) -> None:
        rows, layout = self._batch.rows, self._batch.layout
        self._watch.see(rows, layout, started=np.array([started]), stepped=np.array([not started]))
        if self.render_mode == "human":
            self.render()


_THE_TRIAL: Bool[np.ndarray, "1"] = np.ones(1, bool)


def spaces(batch: ReachBatch) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """The spaces of one trial's observations and actions; the same bounds as in gymnax."""
    layout, limit = batch.layout, np.float32(batch.params.motor.max_force)
    size = layout.observation.stop - layout.observation.start
    return (
        gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32),
        gymnasium.spaces.Box(-limit, limit, batch.command_shape[1:], np.float32),
    )


def frame_rate(params: ReachParams) -> float:
    """Frames a second that show a trial at its own pace."""
    return round(1 / float(params.dt), 3)


def whole_seed(seed: Any) -> int | None:
    """A seed of one trial, as Gymnasium wants it.

    Raises:
        TypeError: if it is neither ``None`` nor a whole number.
        gymnasium.error.Error: if it is negative.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be None or a whole number, got {seed!r}")
    if seed < 0:
        raise gymnasium.error.Error(f"seed must be greater or equal to zero, got {seed}")
    return int(seed)


def seed_words(generator: np.random.Generator, n_trials: int = 1) -> UInt32[np.ndarray, "trials 2"]:
    """What ``ReachBatch.seed`` takes, from Gymnasium's generator."""
    return generator.integers(2**32, size=(n_trials, 2), dtype=np.uint32)


def seed_words_of(seed: int) -> UInt32[np.ndarray, "1 2"]:
    """The same for the generator that Gymnasium makes of a seed."""
    return seed_words(seeding.np_random(seed)[0])


def trial_options(
    options: Mapping[str, Any] | None, allowed: tuple[str, ...], *shapes: tuple[int, ...]
) -> list[Float[np.ndarray, "..."] | None]:
    """Start and goal [m] among the options of ``reset``, each in one of the ``shapes``.

    Raises:
        TypeError: if the options are not a dict, or a value is not numeric.
        ValueError: for an option that is not allowed, a wrong shape, or a number not finite.
    """
    given = checks.instance("options", {} if options is None else options, Mapping)
    unknown = sorted(set(given) - set(allowed), key=str)
    if unknown:
        raise ValueError(
            f"unknown option {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}"
        )
    points: list[Float[np.ndarray, "..."] | None] = []
    for name in ("start", "goal"):
        point = given.get(name)
        if point is not None:
            point = checks.command(name, point, *shapes)
        points.append(point)
    return points
