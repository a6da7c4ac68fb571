"""Analysis of trained networks, in their bodies and by themselves.

What needs only recorded activity is here as tables by epoch: ``tuning``, ``dimensionality`` and
``subspace_angles``. What needs the model as well: ``fixed_points`` of the network with its input
held, ``linearise`` for time constants of the network alone and of the closed loop of network,
channels and body, and ``input_gradients`` for how much the loss depends on each unit, as
``agents.lesion`` is. Data go to other libraries as NumPy arrays of a trajectory and as pandas
frames; ``fbx_env.plot`` draws each.
"""

from agents.analysis.dimensionality import dimensionality as dimensionality
from agents.analysis.dimensionality import subspace_angles as subspace_angles
from agents.analysis.fixed_points import FixedPoints as FixedPoints
from agents.analysis.fixed_points import fixed_points as fixed_points
from agents.analysis.input_gradients import input_gradients as input_gradients
from agents.analysis.linearisation import Linearisation as Linearisation
from agents.analysis.linearisation import Spectrum as Spectrum
from agents.analysis.linearisation import linearise as linearise
from agents.analysis.tuning import tuning as tuning
