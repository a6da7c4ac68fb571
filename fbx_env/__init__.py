"""fbx_env: reaching with a body on the plane, as a differentiable environment.

Functions, each with help of its own, as ``help(fbx_env.make)``:

- ``make(id, ...)`` makes the environment and its params, and ``describe(id)`` lists every number
- ``rollout(env, params, policy, trials, key)`` runs a policy through whole trials, for a
  ``Trajectory``; ``Policy`` names the methods of what acts
- ``measure`` takes figures from a trajectory, ``trajectory_frame`` makes a frame of pandas of it,
  and ``save_matlab`` a file; ``tree_take`` takes trials of it
- ``check_part(part)`` says what is wrong with a part of your own
- ``fbx_env.plot`` and ``fbx_env.plotly`` draw figures, ``fbx_env.analysis`` has plain functions of
  movements

Environments: ``ReachEnv`` with ``ReachState`` for gymnax, ``ReachGymEnv`` and ``ReachVectorEnv``
for Gymnasium, ``LegacyReachEnv`` for code on gymnax before 1.0.

``ReachParams`` are a pytree of parts, which are exchanged by ``replace`` or keywords of ``make``:

- plant: ``PointMass``, ``TwoLinkArm``, ``MuscleArm``, ``TodorovLiArm``, ``MusclePointMass``, with
  muscles ``ReluMuscle``, ``ThelenMuscle``, ``KistemakerMuscle``, ``MujocoMuscle`` or
  ``VirtualMuscle``, and ``TwoLinkSkeleton``, ``QuadraticGeometry``, ``StraightGeometry``,
  ``ThelenActivation``, ``TodorovLiActivation``, ``Integration``
- task: ``SimpleReaches``, ``GivenReaches``, ``DelayedReaches``, ``Hold``, and ``Track`` along a
  ``SumOfSinusoids``, ``Circle``, ``FigureOfEight`` or ``GivenPath``; their trials are ``Trial``,
  ``DelayedReachTrial`` or ``TrackTrial``
- load: ``CurlField``, ``VelocityField``, ``ElasticField``, ``ConstantForce``, ``ForcePulse``,
  ``ForceChannel``
- channel: ``SensoryChannel``, ``MotorChannel``, ``VisuomotorRotation``, ``CursorJump``, ``Gain``,
  ``LowPassFilter``, and ``Series`` of channels
- loss: a ``Loss`` of the terms ``PositionCost``, ``FinalVelocityCost``, ``CommandCost``,
  ``FixationCost``, ``VelocityCost``, ``StraightnessCost``, ``ControlRateCost``,
  ``TargetWindowCost``, ``EffortCost``
- draw: ``UniformDraw``, ``NormalDraw``, ``ChoiceDraw``, and ``ActiveDraw`` for catch trials
- intervention on the network: ``ClampUnits``, ``SilenceUnits``, ``UnitGain``, ``UnitInput``,
  ``UnitNoise``, ``ScaleWeights``; policies of your own take them if they are a ``UnitPolicy``

A part of your own is a subclass of ``Plant``, or ``VisiblePlant``, which figures show; ``Task``,
``Load``, ``Channel``, ``LossTerm``, ``Draw``, ``ActivityIntervention`` or ``NetworkIntervention``,
which are ``Intervention``; ``MusclePlant``, ``Muscle``, ``MuscleGeometry``, ``ActivationDynamics``,
``TargetPath`` or ``EpochTrial``. Its numbers are a ``Scalar`` declared by ``number``, or by
``whole``, ``flag`` and ``indices``, and what is no number by ``static``; it is a ``Component``, as
the state of a part can be. Its methods meet ``Effector``, ``Clock``, ``Transition``, ``Control``,
``Feedback``, ``Outline`` and ``Signals``, and may use ``standard_normal`` and ``squared_norm``.
"""

from fbx_env.check_part import check_part as check_part
from fbx_env.env import ReachEnv as ReachEnv
from fbx_env.env import ReachState as ReachState
from fbx_env.export import save_matlab as save_matlab
from fbx_env.export import trajectory_frame as trajectory_frame
from fbx_env.gym.single import ReachGymEnv as ReachGymEnv
from fbx_env.gym.vector import ReachVectorEnv as ReachVectorEnv
from fbx_env.legacy import LegacyReachEnv as LegacyReachEnv
from fbx_env.measures import measure as measure
from fbx_env.params import ReachParams as ReachParams
from fbx_env.parts.channels.channel import Channel as Channel
from fbx_env.parts.channels.channel import standard_normal as standard_normal
from fbx_env.parts.channels.cursor_jump import CursorJump as CursorJump
from fbx_env.parts.channels.gain import Gain as Gain
from fbx_env.parts.channels.low_pass_filter import LowPassFilter as LowPassFilter
from fbx_env.parts.channels.motor import MotorChannel as MotorChannel
from fbx_env.parts.channels.sensory import SensoryChannel as SensoryChannel
from fbx_env.parts.channels.series import Series as Series
from fbx_env.parts.channels.visuomotor_rotation import VisuomotorRotation as VisuomotorRotation
from fbx_env.parts.clock import Clock as Clock
from fbx_env.parts.component import Component as Component
from fbx_env.parts.component import Scalar as Scalar
from fbx_env.parts.component import flag as flag
from fbx_env.parts.component import indices as indices
from fbx_env.parts.component import number as number
from fbx_env.parts.component import static as static
from fbx_env.parts.component import whole as whole
from fbx_env.parts.draws.active import ActiveDraw as ActiveDraw
from fbx_env.parts.draws.choice import ChoiceDraw as ChoiceDraw
from fbx_env.parts.draws.draw import Draw as Draw
from fbx_env.parts.draws.normal import NormalDraw as NormalDraw
from fbx_env.parts.draws.uniform import UniformDraw as UniformDraw
from fbx_env.parts.interventions.clamp_units import ClampUnits as ClampUnits
from fbx_env.parts.interventions.intervention import ActivityIntervention as ActivityIntervention
from fbx_env.parts.interventions.intervention import Intervention as Intervention
from fbx_env.parts.interventions.intervention import NetworkIntervention as NetworkIntervention
from fbx_env.parts.interventions.scale_weights import ScaleWeights as ScaleWeights
from fbx_env.parts.interventions.silence_units import SilenceUnits as SilenceUnits
from fbx_env.parts.interventions.unit_gain import UnitGain as UnitGain
from fbx_env.parts.interventions.unit_input import UnitInput as UnitInput
from fbx_env.parts.interventions.unit_noise import UnitNoise as UnitNoise
from fbx_env.parts.interventions.unit_policy import UnitPolicy as UnitPolicy
from fbx_env.parts.loads.constant_force import ConstantForce as ConstantForce
from fbx_env.parts.loads.curl_field import CurlField as CurlField
from fbx_env.parts.loads.elastic_field import ElasticField as ElasticField
from fbx_env.parts.loads.force_channel import ForceChannel as ForceChannel
from fbx_env.parts.loads.force_pulse import ForcePulse as ForcePulse
from fbx_env.parts.loads.load import Load as Load
from fbx_env.parts.loads.velocity_field import VelocityField as VelocityField
from fbx_env.parts.losses.command import CommandCost as CommandCost
from fbx_env.parts.losses.control_rate import ControlRateCost as ControlRateCost
from fbx_env.parts.losses.effort import EffortCost as EffortCost
from fbx_env.parts.losses.final_velocity import FinalVelocityCost as FinalVelocityCost
from fbx_env.parts.losses.fixation import FixationCost as FixationCost
from fbx_env.parts.losses.loss import Loss as Loss
from fbx_env.parts.losses.loss import LossTerm as LossTerm
from fbx_env.parts.losses.loss import squared_norm as squared_norm
from fbx_env.parts.losses.position import PositionCost as PositionCost
from fbx_env.parts.losses.straightness import StraightnessCost as StraightnessCost
from fbx_env.parts.losses.target_window import TargetWindowCost as TargetWindowCost
from fbx_env.parts.losses.transition import Transition as Transition
from fbx_env.parts.losses.velocity import VelocityCost as VelocityCost
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry as MuscleGeometry
from fbx_env.parts.plants.geometry.quadratic_geometry import QuadraticGeometry as QuadraticGeometry
from fbx_env.parts.plants.geometry.straight_geometry import StraightGeometry as StraightGeometry
from fbx_env.parts.plants.integration import Integration as Integration
from fbx_env.parts.plants.muscle_arm import MuscleArm as MuscleArm
from fbx_env.parts.plants.muscle_plant import MusclePlant as MusclePlant
from fbx_env.parts.plants.muscle_point_mass import MusclePointMass as MusclePointMass
from fbx_env.parts.plants.muscles.activation import ActivationDynamics as ActivationDynamics
from fbx_env.parts.plants.muscles.kistemaker import KistemakerMuscle as KistemakerMuscle
from fbx_env.parts.plants.muscles.mujoco import MujocoMuscle as MujocoMuscle
from fbx_env.parts.plants.muscles.muscle import Muscle as Muscle
from fbx_env.parts.plants.muscles.relu import ReluMuscle as ReluMuscle
from fbx_env.parts.plants.muscles.thelen import ThelenMuscle as ThelenMuscle
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation as ThelenActivation
from fbx_env.parts.plants.muscles.todorov_li_activation import (
    TodorovLiActivation as TodorovLiActivation,
)
from fbx_env.parts.plants.muscles.virtual import VirtualMuscle as VirtualMuscle
from fbx_env.parts.plants.plant import Control as Control
from fbx_env.parts.plants.plant import Effector as Effector
from fbx_env.parts.plants.plant import Feedback as Feedback
from fbx_env.parts.plants.plant import Plant as Plant
from fbx_env.parts.plants.point_mass import PointMass as PointMass
from fbx_env.parts.plants.todorov_li_arm import TodorovLiArm as TodorovLiArm
from fbx_env.parts.plants.two_link_arm import TwoLinkArm as TwoLinkArm
from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton as TwoLinkSkeleton
from fbx_env.parts.plants.visible_plant import Outline as Outline
from fbx_env.parts.plants.visible_plant import Signals as Signals
from fbx_env.parts.plants.visible_plant import VisiblePlant as VisiblePlant
from fbx_env.parts.tasks.delayed_reaches import DelayedReaches as DelayedReaches
from fbx_env.parts.tasks.delayed_reaches import DelayedReachTrial as DelayedReachTrial
from fbx_env.parts.tasks.epoch_trial import EpochTrial as EpochTrial
from fbx_env.parts.tasks.given_reaches import GivenReaches as GivenReaches
from fbx_env.parts.tasks.hold import Hold as Hold
from fbx_env.parts.tasks.paths.circle import Circle as Circle
from fbx_env.parts.tasks.paths.figure_of_eight import FigureOfEight as FigureOfEight
from fbx_env.parts.tasks.paths.given import GivenPath as GivenPath
from fbx_env.parts.tasks.paths.path import TargetPath as TargetPath
from fbx_env.parts.tasks.paths.sinusoids import SumOfSinusoids as SumOfSinusoids
from fbx_env.parts.tasks.simple_reaches import SimpleReaches as SimpleReaches
from fbx_env.parts.tasks.task import Task as Task
from fbx_env.parts.tasks.track import Track as Track
from fbx_env.parts.tasks.track import TrackTrial as TrackTrial
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
