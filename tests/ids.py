"""Ids for tests that are too slow for all: with each body and each task at least once."""

from fbx_env.registration import BODIES, TASKS

EACH_PART = [
    f"{body}{task}-v0"
    for index, body in enumerate(BODIES)
    for task in [list(TASKS)[index % len(TASKS)]]
]
