"""TorchRL: ``GymEnv`` by the id, and many trials by ``make_vec`` with autoreset disabled.

In an environment with `pip install "torchrl"`; ran with 0.14.1.
"""

import gymnasium
from torchrl.envs import GymEnv, GymWrapper, check_env_specs

ID = "fbx_env:PointMassReach-v0"

single = GymEnv(ID, mass=2.0, time_in_observation=True)
check_env_specs(single)
assert single.rollout(200)["next", "terminated"].flatten().nonzero().tolist() == [[98]]

many = GymWrapper(gymnasium.make_vec(ID, num_envs=4, autoreset_mode="Disabled"))
trials = many.rollout(200, break_when_any_done=False)
assert trials["next", "terminated"].sum() == 4 * 2
print("TorchRL: specs hold, trials end after 99 steps")
