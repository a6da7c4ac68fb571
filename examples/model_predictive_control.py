"""Plan, act, replan: model-predictive control beside the optimal feedback controller.

The mass is pushed to the side, which no controller knows in advance. One plans all commands at the
start, others plan anew from what they observe every so often. Each plan is a Newton step through
the environment, which is exact where the body is linear and the loss quadratic.

python examples/model_predictive_control.py          # a minute on two cores
python examples/model_predictive_control.py --quick  # fewer controllers, to see that it runs
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import fbx_env
from agents import OptimalPolicy, evaluate
from fbx_env import Effector, ForcePulse, ReachEnv, ReachParams, ReachState, Trial, plot

PUSH = ForcePulse((0.0, 1.0), onset=1.0, duration=0.3, relative=True)
"""To the left of the reach."""

Carry = tuple[jax.Array, jax.Array]


class Replanner(eqx.Module):
    """A policy that follows a plan, and plans anew every so many steps.

    It knows the body without the push, and observes it without delay and noise.
    """

    params: ReachParams
    layout: dict[str, slice] = eqx.field(static=True)
    every: int = eqx.field(static=True)

    def __call__(
        self, obs: jax.Array, carry: Carry, *, key: jax.Array | None = None
    ) -> tuple[jax.Array, Carry]:
        step, plan = carry
        is_due = step % self.every == 0
        plan = jax.lax.cond(is_due, lambda: self.plan(obs, step), lambda: plan)
        return plan[step], (step + 1, plan)

    def initial_carry(self) -> Carry:
        return jnp.zeros((), int), jnp.zeros((self.params.max_steps_in_episode, 2))

    def activity(self, carry: Carry) -> jax.Array:
        return jnp.zeros(0)

    def plan(self, obs: jax.Array, step: jax.Array) -> jax.Array:
        """The commands with the least loss from here on; those of past steps are zero."""
        nothing = self.initial_carry()[1]
        shape = nothing.shape

        def cost(flat: jax.Array) -> jax.Array:
            return self.cost_to_go(self.state(obs, step), flat.reshape(shape))

        gradient, curvature = jax.grad(cost)(nothing.ravel()), jax.hessian(cost)(nothing.ravel())
        return -jnp.linalg.solve(curvature, gradient).reshape(shape)

    def state(self, obs: jax.Array, step: jax.Array) -> ReachState:
        """The state that is observed."""
        pos, vel = obs[self.layout["vision_position"]], obs[self.layout["vision_velocity"]]
        trial = Trial(start=pos, goal=obs[self.layout["goal_position"]])
        _, state = ReachEnv().reset_trial(jax.random.key(0), trial, self.params)
        return state.replace(plant=Effector(pos=pos, vel=vel), time=step)

    def cost_to_go(self, state: ReachState, commands: jax.Array) -> jax.Array:
        """The loss from a state to the end of the trial."""

        def step(state: ReachState, index: jax.Array) -> tuple[ReachState, jax.Array]:
            is_ahead = index >= state.time
            command = jnp.where(is_ahead, commands[index], 0.0)
            _, after, reward, *_ = ReachEnv().step_env(
                jax.random.key(0), state, command, self.params
            )
            # Commands of the past cost a little, so that the best ones are zero.
            cost = jnp.where(is_ahead, -reward, 1e-5 * jnp.sum(commands[index] ** 2))
            return jax.tree.map(lambda *both: jnp.where(is_ahead, *both), after, state), cost

        return jax.lax.scan(step, state, jnp.arange(len(commands)))[1].sum()


def main() -> None:
    parser = argparse.ArgumentParser(description="Replan under an unforeseen push.")
    parser.add_argument("--quick", action="store_true", help="fewer controllers")
    options = parser.parse_args()

    env, params = fbx_env.make()
    pushed = params.replace(loads=(PUSH,))
    trials = params.task.validation_trials()
    layout, n_steps = env.observation_layout(params), params.max_steps_in_episode
    policies = {"planned once": Replanner(params, layout, n_steps)}
    for every in (1,) if options.quick else (20, 10, 5, 1):
        policies[f"replanned every {every * params.dt:.2f} s"] = Replanner(params, layout, every)
    policies["optimal feedback"] = OptimalPolicy(params)

    figure, (ax_path, ax_loss) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    losses = {}
    for index, (name, policy) in enumerate(policies.items()):
        metrics, reaches = evaluate(policy, env, pushed, trials, key=jax.random.key(0))
        losses[name] = metrics["losses"]["environment"]
        print(
            f"{name}: loss {losses[name]:.2e}, ends {1e3 * metrics['endpoint_error']:.1f} mm away"
        )
        color = plt.get_cmap("viridis")(0.9 * index / len(policies))
        style = "--" if name == "optimal feedback" else "-"
        ax_path.plot(*(100 * reaches.pos[0].T), style, color=color, label=name)
        ax_loss.plot(losses[name], index, "o", color=color, ms=8)
    ax_path.plot(*(100 * trials.goal[0]), "o", mfc="none", color="0.3", ms=10)
    ax_path.set(xlabel="x [cm]", ylabel="y [cm]", ylim=(-5, 30), title="The reach to the right")
    ax_path.legend(frameon=False, fontsize="small")
    ax_loss.set(xlabel="Loss with the push", xscale="log")
    ax_loss.set_yticks(range(len(losses)), list(losses))
    ax_loss.grid(axis="x", color="0.9")
    ax_loss.invert_yaxis()
    plot.save_figure(figure, "model_predictive_control.png", dpi=130)
    print("The picture is model_predictive_control.png.")


if __name__ == "__main__":
    main()
