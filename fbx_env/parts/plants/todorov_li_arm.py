"""The arm of Li and Todorov, moved by virtual muscles."""

from __future__ import annotations

import dataclasses

from fbx_env.parts.plants.geometry.geometry import MuscleGeometry
from fbx_env.parts.plants.geometry.quadratic_geometry import QuadraticGeometry
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.muscle_arm import MuscleArm
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.virtual import VirtualMuscle
from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton


class TodorovLiArm(MuscleArm):
    """Upper arm and forearm in a horizontal plane, moved by six virtual muscles.

    The arm of Li and Todorov (2004): a ``MuscleArm`` with other parts. Attributes are as there.
    """

    muscle: Muscle = dataclasses.field(default_factory=VirtualMuscle)
    geometry: MuscleGeometry = dataclasses.field(default_factory=QuadraticGeometry.todorov_li)
    skeleton: TwoLinkSkeleton = dataclasses.field(default_factory=TwoLinkSkeleton.li_todorov)
    integration: Integration = dataclasses.field(default_factory=Integration)
