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
    check_part,
    number,
    plot,
    tree_take,
)

GRAVITY = 9.81
"""[m/s^2]"""


class PendulumState(Component):
    """The angle from hanging down [rad], and its rate [rad/s]."""

    angle: jax.Array
    rate: jax.Array


class Pendulum(VisiblePlant):
    """A bob at the end of a rod without mass, hanging from the origin of a vertical plane."""

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
    args = parser.parse_args()
    n_batches = 3 if args.quick else 1000
    batch_size = 4 if args.quick else 32

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
    model, _ = context.train(n_batches=n_batches, batch_size=batch_size, key=jax.random.key(1))
    metrics, reaches = context.task.evaluate(model, key=jax.random.key(2))
    print(f"The bob ends {1e3 * metrics['endpoint_error']:.1f} mm from its goals.")

    figure = plt.figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot.postures(reaches, plant, ax=left.subplots())
    axes = right.subplots(3, 1, sharex=True)
    highest = tree_take(reaches, -1)
    plot.body_signals(highest, plant, axes=axes[:2])
    axes[2].plot(highest.time[:-1], highest.command[:, 0])
    axes[0].set_title("Swing up to 135 deg")
    axes[1].set_xlabel("")
    axes[2].set(xlabel="Time [s]", ylabel="Torque [N m]")
    plot.save_figure(figure, "pendulum.png", dpi=130)
    print("The picture is pendulum.png.")


if __name__ == "__main__":
    main()
