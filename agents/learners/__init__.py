"""The learners: each is one module here, or of another package, that registers itself.

Another package names its modules as entry points of the group ``fbx_env.learners``.
"""

from agents.learners.registry import Budget as Budget
from agents.learners.registry import Learner as Learner
from agents.learners.registry import learners as learners
from agents.learners.registry import register as register
