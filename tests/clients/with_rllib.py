"""RLlib: its PPO over environments made by Gymnasium's registry.

In an environment with `pip install "ray[rllib]"`; ran with 2.60.0.
"""

import ray
from ray.rllib.algorithms.ppo import PPOConfig

import fbx_env  # noqa: F401

config = (
    PPOConfig()
    .environment("PointMassReach-v0", env_config={"time_in_observation": True})
    .env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    .training(train_batch_size_per_learner=396, minibatch_size=99, num_epochs=1)
)
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
algorithm = config.build_algo()
result = algorithm.train()
assert result["env_runners"]["episode_len_mean"] == 99
assert result["env_runners"]["episode_return_mean"] < 0
algorithm.stop()
ray.shutdown()
print("RLlib: trained on whole trials")
