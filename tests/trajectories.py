"""Trajectories for the tests of figures: of a simple controller, and of plants of several kinds."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbx_env import (
    Component,
    Control,
    Effector,
    Plant,
    PointMass,
    ReachEnv,
    ReachParams,
    Task,
    Trial,
    number,
    rollout,
)

N_UNITS = 50


class Controller(Component):
    """Pulls the effector to the goal; its units are random mixtures of what it observes."""

    weights: Any
    readout: Any
    stiffness: Any

    def __call__(self, obs, carry, *, key=None):
        # The goal's and the effector's position and velocity, as tasks and plants show them.
        goal, goal_velocity, pos, vel = obs[:8].reshape(4, 2)
        pull = self.stiffness * (goal - pos) + 2 * (goal_velocity - vel)
        return self.readout @ pull, jnp.tanh(self.weights @ obs[:8])

    def initial_carry(self):
        return jnp.zeros(N_UNITS)

    def activity(self, carry):
        return carry


class Muscles(Plant):
    """A mass pulled by six actuators, excited from 0 to 1."""

    strength: Any = number(default=3.0, text="force of an actuator", unit="N", above=0)

    @property
    def controls(self):
        return tuple(Control(f"muscle {index}", "", 0.0, 1.0) for index in range(6))

    def init(self, position):
        return Effector(position, jnp.zeros_like(position))

    def step(self, state, control, load, dt):
        force = self.strength * jnp.asarray(directions(6).T) @ control + load(state)
        return Effector(state.pos + dt * state.vel, state.vel + dt * force)

    def effector(self, state):
        return state

    def feedback(self, state):
        return {"vision": {"position": state.pos, "velocity": state.vel}}


class Lever(Muscles):
    """A mass on a rail along x, moved by one torque."""

    @property
    def controls(self):
        return (Control("torque", "N m", -10.0, 10.0),)

    def step(self, state, control, load, dt):
        force = jnp.array([1.0, 0.0]) * control
        return Effector(state.pos + dt * state.vel, state.vel + dt * force)


class Joints(Muscles):
    """Two torques, which are no force in the plane."""

    @property
    def controls(self):
        return tuple(Control(f"{name} torque", "N m", -9.0, 9.0) for name in ("shoulder", "elbow"))

    def step(self, state, control, load, dt):
        return Effector(state.pos + dt * state.vel, state.vel + dt * control)


class Circling(Task):
    """Follow a target that circles around the goal's place at the start."""

    def sample(self, key):
        return Trial((0.0, 0.0), (0.3, 0.0))

    def validation_trials(self):
        goal = 0.3 * jnp.asarray(directions(4))
        return Trial(jnp.zeros_like(goal), goal)

    def target(self, trial, clock):
        angle = 3 * clock.time
        turn = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
        return Effector(turn @ trial.goal, 0.0 * trial.goal)

    def cue(self, trial, clock):
        target = self.target(trial, clock)
        return {"goal_position": target.pos, "goal_velocity": target.vel}


def directions(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def controller(n_controls=2, seed=0, stiffness=3.0):
    weights = jax.random.normal(jax.random.key(seed), (N_UNITS, 8))
    readout = jnp.eye(2) if n_controls == 2 else jnp.asarray(directions(n_controls))
    return Controller(weights, readout, jnp.asarray(stiffness))


@functools.cache
def replicates(plant=None):
    """Three controllers of different stiffness on the validation trials."""
    n_controls = len((PointMass() if plant is None else plant()).controls)
    policies = [controller(n_controls, seed, 2.0 + seed) for seed in range(3)]
    return stack([run(plant=plant and plant(), policy=policy) for policy in policies])


def run(trials=None, plant=None, policy=None, **changes):
    """A trajectory, by default of a point mass on the validation trials."""
    params = ReachParams(plant=PointMass() if plant is None else plant, **changes)
    trials = params.task.validation_trials() if trials is None else trials
    policy = controller(len(params.plant.controls)) if policy is None else policy
    return rollout(ReachEnv(), params, policy, trials, jax.random.key(1))


def take(trajectory, index):
    return jax.tree.map(lambda leaf: leaf[index], trajectory)


def stack(trajectories):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trajectories)


@dataclasses.dataclass
class History:
    """The columns of a history of training."""

    columns: dict

    def __getitem__(self, name):
        return self.columns[name]

    @property
    def terms(self):
        names = [name.removeprefix("training_") for name in self.columns if "training_" in name]
        return tuple(name for name in names if name != "total")
