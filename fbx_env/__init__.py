"""fbx_env: reaching with a point mass, as a differentiable environment."""

from fbx_env.channels import MotorChannel as MotorChannel
from fbx_env.channels import SensoryChannel as SensoryChannel
from fbx_env.component import Component as Component
from fbx_env.component import static as static
from fbx_env.env import ReachEnv as ReachEnv
from fbx_env.env import ReachParams as ReachParams
from fbx_env.env import ReachState as ReachState
from fbx_env.gym_env import ReachGymEnv as ReachGymEnv
from fbx_env.gym_vector import ReachVectorEnv as ReachVectorEnv
from fbx_env.legacy import LegacyReachEnv as LegacyReachEnv
from fbx_env.losses import CommandCost as CommandCost
from fbx_env.losses import FinalVelocityCost as FinalVelocityCost
from fbx_env.losses import Loss as Loss
from fbx_env.losses import LossTerm as LossTerm
from fbx_env.losses import PositionCost as PositionCost
from fbx_env.losses import Transition as Transition
from fbx_env.losses import squared_norm as squared_norm
from fbx_env.plants import Effector as Effector
from fbx_env.plants import Plant as Plant
from fbx_env.plants import PointMass as PointMass
from fbx_env.registration import make as make
from fbx_env.registration import register as _register
from fbx_env.rollout import Policy as Policy
from fbx_env.rollout import Trajectory as Trajectory
from fbx_env.rollout import rollout as rollout
from fbx_env.tasks import SimpleReaches as SimpleReaches
from fbx_env.tasks import Task as Task
from fbx_env.tasks import Trial as Trial
from fbx_env.trees import tree_take as tree_take

_register()
