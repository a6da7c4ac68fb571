"""Figures of training, reaches, bodies and activity; importing this imports matplotlib.

Each function makes a new figure, or draws into axes it is given, and returns the figure and its
axes. ``fbx_env.plotly`` has interactive counterparts. ``paper_style`` makes figures for a journal's
page, ``save_figure`` saves one with its fonts.
"""

from fbx_env.plot.activity import activity_heatmap as activity_heatmap
from fbx_env.plot.activity import activity_sample_units as activity_sample_units
from fbx_env.plot.activity import preferred_directions as preferred_directions
from fbx_env.plot.activity import principal_components as principal_components
from fbx_env.plot.adaptation import adaptation_curve as adaptation_curve
from fbx_env.plot.adaptation import channel_forces as channel_forces
from fbx_env.plot.adaptation import generalisation as generalisation
from fbx_env.plot.adaptation import reaches_by_stage as reaches_by_stage
from fbx_env.plot.animation import animate_reaches as animate_reaches
from fbx_env.plot.body import body_signals as body_signals
from fbx_env.plot.body import postures as postures
from fbx_env.plot.lesions import lesion_costs as lesion_costs
from fbx_env.plot.muscles import muscle_curves as muscle_curves
from fbx_env.plot.network import eigenvalues as eigenvalues
from fbx_env.plot.network import fixed_points as fixed_points
from fbx_env.plot.network import subspaces as subspaces
from fbx_env.plot.network import tuning_by_epoch as tuning_by_epoch
from fbx_env.plot.reaches import effector_trajectories as effector_trajectories
from fbx_env.plot.reaches import reach_endpoints as reach_endpoints
from fbx_env.plot.reaches import speed_profiles as speed_profiles
from fbx_env.plot.style import paper_style as paper_style
from fbx_env.plot.style import save_figure as save_figure
from fbx_env.plot.timeline import aligned_time_courses as aligned_time_courses
from fbx_env.plot.timeline import position_and_target as position_and_target
from fbx_env.plot.training import loss_history as loss_history
from fbx_env.plot.training import training_and_validation as training_and_validation
