"""skrl: its runner trains PPO on the vectorised environment.

In an environment with `pip install "skrl"`; ran with 2.1.1.
"""

import tempfile

import gymnasium
from skrl.envs.wrappers.torch import wrap_env
from skrl.utils.runner.torch import Runner

ENVS, STEPS = 8, 100
LAYERS = [{"name": "net", "input": "OBSERVATIONS", "layers": [16], "activations": "tanh"}]

envs = wrap_env(
    gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=ENVS, time_in_observation=True)
)
with tempfile.TemporaryDirectory() as folder:
    config = {
        "seed": 0,
        "models": {
            "separate": True,
            "policy": {
                "class": "GaussianMixin",
                "network": LAYERS,
                "output": "ACTIONS",
            },
            "value": {"class": "DeterministicMixin", "network": LAYERS, "output": "ONE"},
        },
        "memory": {"class": "RandomMemory", "memory_size": -1},
        "agent": {
            "class": "PPO",
            "rollouts": STEPS,
            "learning_epochs": 1,
            "mini_batches": 2,
            "experiment": {"directory": folder, "write_interval": 0, "checkpoint_interval": 0},
        },
        "trainer": {"class": "SequentialTrainer", "timesteps": 2 * STEPS, "headless": True},
    }
    runner = Runner(envs, config)
    before = [weights.clone() for weights in runner.agent.models["policy"].parameters()]
    runner.run("train")
    after = list(runner.agent.models["policy"].parameters())
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
print("skrl: the runner has trained")
