"""Stable-Baselines3's learners on the task: their environments, actors, training and files.

Importing a module of this package but ``recipe`` imports torch.
"""
