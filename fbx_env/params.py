"""The params of the environment: everything that defines an experiment."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from gymnax.environments import environment
from jaxtyping import Array, Bool, Int

from fbx_env import checks
from fbx_env.parts.channels.channel import Channel
from fbx_env.parts.channels.motor import MotorChannel
from fbx_env.parts.channels.sensory import SensoryChannel
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component, Scalar, flag, number, whole
from fbx_env.parts.draws.draw import Draw
from fbx_env.parts.interventions.intervention import Intervention
from fbx_env.parts.loads.load import Load
from fbx_env.parts.losses.loss import Loss
from fbx_env.parts.losses.reach import reach_loss
from fbx_env.parts.numbers import Number, numbers, parts_of
from fbx_env.parts.plants.plant import Effector, Plant
from fbx_env.parts.plants.point_mass import PointMass
from fbx_env.parts.tasks.simple_reaches import SimpleReaches
from fbx_env.parts.tasks.task import Task
from fbx_env.parts.tasks.trial import Trial


class ReachParams(Component, environment.EnvParams):  # type: ignore[misc]
    """Everything that defines a reaching experiment, as one pytree.

    Each part owns its numbers. ``replace`` swaps a part; every float can be mapped over with
    ``jax.vmap`` and differentiated with respect to. What is marked static is part of the structure.

    Attributes:
        max_steps_in_episode: control steps of a trial, at least 1 (static).
        plant: the body that commands move.
        task: which trials there are and what each asks for.
        sensory: the channel of vision, and of everything the point mass senses.
        proprioception: the channel of the second modality of plants that have one; ``None`` if
            there is none, or the agent does not sense it.
        motor: the channel from agent to plant.
        loads: the forces of the world on the effector; they add up.
        interventions: changes of the units and weights of the policy that acts, in their order; the
            environment does not see them, ``rollout`` and all that trains and evaluates by it do.
        loss: the cost of each step; the reward is its negative.
        draws: numbers of the parts that are drawn anew for each trial.
        dt: duration of a step [s], greater than 0.
        time_in_observation: whether the observation ends with the progress of the trial (static).
        success_distance: greatest distance to the target at the end of a successful trial [m], and
            wherever else the task wants the effector on target.
        success_speed: greatest speed there, relative to the target's [m/s].

    Raises:
        TypeError: if a part is of the wrong kind.
        ValueError: if a number is out of range, two loads or two interventions have one name, or a
            draw is of a number that there is not.

    Example:
        >>> params = ReachParams(plant=PointMass(mass=2.0), dt=0.01, max_steps_in_episode=500)
        >>> params.replace(sensory=SensoryChannel(delay=3)).sensory.delay
        3
    """

    max_steps_in_episode: int = whole(
        "control steps of a trial", default=99, unit="steps", at_least=1, at_most=2**31 - 1
    )
    plant: Plant = dataclasses.field(default_factory=PointMass)
    task: Task = dataclasses.field(default_factory=SimpleReaches)
    sensory: Channel = dataclasses.field(default_factory=SensoryChannel)
    proprioception: Channel | None = None
    motor: Channel = dataclasses.field(default_factory=MotorChannel)
    loads: tuple[Load, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    loss: Loss = dataclasses.field(default_factory=reach_loss)
    draws: tuple[Draw, ...] = ()
    dt: Scalar = number("duration of a time step", default=0.05, unit="s", above=0)
    time_in_observation: bool = flag(
        "whether the agent observes the progress of the trial; one without memory needs it",
        default=False,
    )
    success_distance: Scalar = number(
        "greatest distance to the target that is a success", default=0.05, unit="m", above=0
    )
    success_speed: Scalar = number(
        "greatest speed, relative to the target's, that is a success",
        default=0.1,
        unit="m/s",
        above=0,
    )

    def __check_init__(self) -> None:
        kinds = {"plant": Plant, "task": Task, "sensory": Channel, "motor": Channel, "loss": Loss}
        for role, kind in kinds.items():
            checks.instance(role, getattr(self, role), kind)
        if self.proprioception is not None:
            checks.instance("proprioception", self.proprioception, Channel)
        self._assign(
            loads=checks.parts("loads", self.loads, Load, lambda load: load.name),
            interventions=checks.parts(
                "interventions", self.interventions, Intervention, lambda each: each.name
            ),
            draws=checks.parts("draws", self.draws, Draw, lambda draw: draw.number),
        )
        for part in parts_of(self):
            part.run_checks("__check_params__", self)

    def clock(self, step: Int[Array, ""], trial: Trial) -> Clock:
        """The clock at a step of a trial, which knows the trial's epochs."""
        clock = Clock(step, jnp.asarray(self.dt), self.max_steps_in_episode)
        return self.task.with_epochs(trial, clock)

    def permits(self, effector: Effector, trial: Trial, clock: Clock) -> Bool[Array, ""]:
        """Whether a trial in which the effector is so at a time of it can succeed."""
        limits = {"distance": self.success_distance, "speed": self.success_speed}
        return self.task.permits(effector, trial, clock, **limits)

    def numbers(self) -> list[Number]:
        """Every number of the experiment, with its name, keyword, bounds and meaning."""
        return numbers(self)

    def number(self, name: str) -> Number:
        """A number of the experiment by its dotted name, such as ``"plant.mass"``.

        Raises:
            ValueError: if there is none of this name.
        """
        by_name = {each.name: each for each in self.numbers()}
        return by_name[checks.known("number", name, by_name)]
