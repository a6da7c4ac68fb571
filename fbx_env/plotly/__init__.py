"""Interactive figures: the counterparts of ``fbx_env.plot``, by the same names, with Plotly.

They take the arguments of their counterparts, but for axes, refuse what these refuse, and return a
``plotly.graph_objects.Figure`` as wide as the page it is shown on. Hover over a curve to read it,
click on the legend to hide it.
"""

try:
    import plotly.graph_objects as _graph_objects  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fbx_env.plotly needs Plotly; install it with: pip install "fbx-env[plotly]"'
    ) from error

from fbx_env.plotly.activity import activity_heatmap as activity_heatmap
from fbx_env.plotly.activity import activity_sample_units as activity_sample_units
from fbx_env.plotly.activity import preferred_directions as preferred_directions
from fbx_env.plotly.activity import principal_components as principal_components
from fbx_env.plotly.animation import animate_reaches as animate_reaches
from fbx_env.plotly.reaches import effector_trajectories as effector_trajectories
from fbx_env.plotly.reaches import reach_endpoints as reach_endpoints
from fbx_env.plotly.reaches import speed_profiles as speed_profiles
from fbx_env.plotly.training import loss_history as loss_history
from fbx_env.plotly.training import training_and_validation as training_and_validation
