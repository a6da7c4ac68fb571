"""Minari: trials are recorded with their infos, and read back.

In an environment with `pip install "minari[hdf5]"`; ran with 0.5.4.
"""

import os
import tempfile

import gymnasium
import numpy as np

with tempfile.TemporaryDirectory() as folder:
    os.environ["MINARI_DATASETS_PATH"] = folder
    import minari

    env = minari.DataCollector(gymnasium.make("fbx_env:PointMassReach-v0"), record_infos=True)
    for seed in range(2):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, ended, _, info = env.step(env.action_space.sample())
    env.create_dataset("reaches/random-v0")
    first, second = minari.load_dataset("reaches/random-v0").iterate_episodes()
    assert len(first.rewards) == len(second.rewards) == 99
    assert first.infos["losses"]["position"].shape == (100,)
    assert np.isclose(second.infos["distance"][-1], info["distance"])
print("Minari: two trials with their infos")
