"""Proximal policy optimisation by Rejax: the whole training is one compiled function.

Needs Rejax: pip install rejax

python examples/train_with_rejax.py [--quick]
"""

import argparse

import jax
import rejax

import fbx_env


def main() -> None:
    parser = argparse.ArgumentParser(description="Train with Rejax.")
    parser.add_argument("--quick", action="store_true", help="only two updates")
    n_updates = 2 if parser.parse_args().quick else 200

    # A short task, which PPO learns within a minute on two cores.
    _, params = fbx_env.make(
        max_steps_in_episode=20, dt=0.1, max_force=2.0, time_in_observation=True
    )
    n_trials, n_steps = 128, 20
    algorithm = rejax.get_algo("ppo").create(
        env=fbx_env.LegacyReachEnv(),
        env_params=params,
        total_timesteps=n_updates * n_trials * n_steps,
        eval_freq=max(n_updates // 4, 1) * n_trials * n_steps,
        num_envs=n_trials,
        num_steps=n_steps,
        num_epochs=10,
        num_minibatches=4,
        learning_rate=1e-3,
        gamma=0.99,
        ent_coef=0.0,
    )
    _, (_, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    for index, of_trials in enumerate(returns):
        print(f"evaluation {index}: mean loss {-of_trials.mean():.4f}")


if __name__ == "__main__":
    main()
