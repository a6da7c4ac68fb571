"""fbx_env: reaching with a body on the plane, as a differentiable environment."""

from fbx_env.check_part import check_part as check_part
from fbx_env.env import ReachEnv as ReachEnv
from fbx_env.env import ReachState as ReachState
from fbx_env.gym.single import ReachGymEnv as ReachGymEnv
from fbx_env.gym.vector import ReachVectorEnv as ReachVectorEnv
from fbx_env.legacy import LegacyReachEnv as LegacyReachEnv
from fbx_env.params import ReachParams as ReachParams
from fbx_env.parts.channels.channel import Channel as Channel
from fbx_env.parts.channels.channel import standard_normal as standard_normal
from fbx_env.parts.channels.motor import MotorChannel as MotorChannel
from fbx_env.parts.channels.sensory import SensoryChannel as SensoryChannel
from fbx_env.parts.clock import Clock as Clock
from fbx_env.parts.component import Component as Component
from fbx_env.parts.component import Scalar as Scalar
from fbx_env.parts.component import flag as flag
from fbx_env.parts.component import number as number
from fbx_env.parts.component import static as static
from fbx_env.parts.component import whole as whole
from fbx_env.parts.draws.draw import Draw as Draw
from fbx_env.parts.loads.load import Load as Load
from fbx_env.parts.losses.command import CommandCost as CommandCost
from fbx_env.parts.losses.final_velocity import FinalVelocityCost as FinalVelocityCost
from fbx_env.parts.losses.loss import Loss as Loss
from fbx_env.parts.losses.loss import LossTerm as LossTerm
from fbx_env.parts.losses.loss import squared_norm as squared_norm
from fbx_env.parts.losses.position import PositionCost as PositionCost
from fbx_env.parts.losses.transition import Transition as Transition
from fbx_env.parts.plants.plant import Control as Control
from fbx_env.parts.plants.plant import Effector as Effector
from fbx_env.parts.plants.plant import Plant as Plant
from fbx_env.parts.plants.point_mass import PointMass as PointMass
from fbx_env.parts.tasks.simple_reaches import SimpleReaches as SimpleReaches
from fbx_env.parts.tasks.task import Task as Task
from fbx_env.parts.tasks.trial import Trial as Trial
from fbx_env.registration import describe as describe
from fbx_env.registration import make as make
from fbx_env.registration import register as _register
from fbx_env.rollout import Policy as Policy
from fbx_env.rollout import Trajectory as Trajectory
from fbx_env.rollout import rollout as rollout
from fbx_env.trees import tree_take as tree_take
from fbx_env.version import __version__ as __version__

_register()
