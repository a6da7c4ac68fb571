"""Tianshou: a collector over environments in one process, and in processes that are spawned.

In an environment with `pip install "tianshou"`; ran with 2.0.1.
"""

from functools import partial

import gymnasium
import torch
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv, SubprocVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorProbabilistic

ID = "fbx_env:PointMassReach-v0"


def main():
    makers = [partial(gymnasium.make, ID, time_in_observation=True)] * 2
    env = makers[0]()
    network = Net(state_shape=env.observation_space.shape, hidden_sizes=[8])
    policy = ProbabilisticActorPolicy(
        actor=ContinuousActorProbabilistic(preprocess_net=network, action_shape=(2,)),
        dist_fn=lambda mean_and_std: torch.distributions.Independent(
            torch.distributions.Normal(*mean_and_std), 1
        ),
        action_space=env.action_space,
    )
    for envs in (DummyVectorEnv(makers), SubprocVectorEnv(makers, context="spawn")):
        collector = Collector(policy, envs, VectorReplayBuffer(1000, len(makers)))
        stats = collector.collect(n_episode=4, reset_before_collect=True)
        assert stats.lens.tolist() == [99] * 4
        assert (stats.returns < 0).all()
        envs.close()
    print("Tianshou: collected whole trials in one process, and in two")


if __name__ == "__main__":
    main()
