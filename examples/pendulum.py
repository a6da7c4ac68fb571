"""A plant of one's own: a damped pendulum, which one torque swings up against gravity.

The body is one class. ``check_part`` says whether it does what a plant has to do, and then it is
trained, evaluated and drawn like those of the package.

python examples/pendulum.py          # half a minute on two cores
python examples/pendulum.py --quick  # a few updates, to see that it runs
"""

import argparse
import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from agents import pairing
from fbx_env import (
    Component,
    Control,
    Effector,
    Feedback,
    GivenReaches,
    Integration,
    Outline,
    Scalar,
    SensoryChannel,
    Signals,
    VisiblePlant,
    analysis,
    check_part,
    number,
    plot,
)
from fbx_env.figures.colors import cyclic

GRAVITY = 9.81
"""[m/s^2]"""


class PendulumState(Component):
    """The angle from hanging down [rad], and its rate [rad/s]."""

    angle: jax.Array
    rate: jax.Array


class Pendulum(VisiblePlant):
    """A bob at the end of a rod without mass, hung up at the origin of a vertical plane."""

    mass: Scalar = number("mass of the bob", default=1.0, unit="kg", above=0)
    length: Scalar = number("length of the rod", default=0.5, unit="m", above=0)
    damping: Scalar = number("damping of the hinge", default=0.1, unit="N m s", at_least=0)
    max_torque: Scalar = number("limit of the torque", default=10.0, unit="N m", above=0)
    integration: Integration = dataclasses.field(default_factory=Integration)

    @property
    def controls(self) -> tuple[Control, ...]:
        return (Control("torque", "N m", -self.max_torque, self.max_torque),)

    def init(self, position: jax.Array) -> PendulumState:
        angle = jnp.arctan2(position[0], -position[1])
        return PendulumState(angle, jnp.zeros_like(angle))

    def step(
        self,
        state: PendulumState,
        control: jax.Array,
        load: Callable[[Effector], jax.Array],
        dt: jax.Array,
    ) -> PendulumState:
        def derivative(state: PendulumState) -> PendulumState:
            tip = self.effector(state)
            _, torque_of = jax.vjp(self.tip, state.angle)
            weight = jnp.array([0.0, -GRAVITY]) * self.mass
            torque = control[0] + torque_of(weight + load(tip))[0] - self.damping * state.rate
            return PendulumState(state.rate, torque / (self.mass * self.length**2))

        return self.integration.advance(derivative, state, dt)

    def tip(self, angle: jax.Array) -> jax.Array:
        """Where the bob is [m]."""
        return self.length * jnp.stack([jnp.sin(angle), -jnp.cos(angle)])

    def effector(self, state: PendulumState) -> Effector:
        return Effector(*jax.jvp(self.tip, (state.angle,), (state.rate,)))

    def feedback(self, state: PendulumState) -> Feedback:
        seen = self.effector(state)
        return {
            "vision": {"position": seen.pos, "velocity": seen.vel},
            "proprioception": {"angle": state.angle[None], "rate": state.rate[None]},
        }

    def outline(self, state: PendulumState) -> Outline:
        return Outline(links=jnp.stack([jnp.zeros(2), self.tip(state.angle)]))

    def signals(self, state: PendulumState) -> Signals:
        return {
            "Angle [deg]": {"hinge": jnp.rad2deg(state.angle)},
            "Rate [deg/s]": {"hinge": jnp.rad2deg(state.rate)},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network to swing a pendulum.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    settings = {"n_batches": 3, "batch_size": 4} if parser.parse_args().quick else {}

    # All starts and goals are on the circle that the bob can reach.
    plant = Pendulum()
    goals = jax.vmap(plant.tip)(jnp.deg2rad(jnp.array([-135.0, -90, -45, 45, 90, 135])))
    context = pairing(
        "PointMassReach-v0",
        plant=plant,
        task=GivenReaches(starts=jnp.tile(plant.tip(jnp.zeros(())), (6, 1)), goals=goals),
        proprioception=SensoryChannel(delay=2),
        dt=0.02,
        max_steps_in_episode=60,
        key=jax.random.key(0),
    )
    check_part(plant, context.task.params)
    model, _ = context.train(
        **{"n_batches": 1000, "batch_size": 32, **settings}, key=jax.random.key(1)
    )
    metrics, reaches = context.task.evaluate(model, key=jax.random.key(2))
    print(f"The bob ends {1e3 * metrics['endpoint_error']:.1f} mm from its goals.")

    figure = plt.figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot.postures(reaches, plant, ax=left.subplots())
    axes = right.subplots(3, 1, sharex=True)
    colors = cyclic(analysis.directions(reaches.trial.start, reaches.trial.goal))
    signals = jax.vmap(jax.vmap(plant.signals))(reaches.plant)
    courses = {name: parts["hinge"] for name, parts in signals.items()}
    courses["Torque [N m]"] = reaches.command[..., 0]
    for ax, (name, values) in zip(axes, courses.items(), strict=True):
        for course, color in zip(values, colors, strict=True):
            ax.plot(reaches.time[0, : len(course)], course, color=color)
        ax.set_ylabel(name)
    axes[-1].set_xlabel("Time [s]")
    plot.save_figure(figure, "pendulum.png", dpi=130)
    print("The picture is pendulum.png.")


if __name__ == "__main__":
    main()
