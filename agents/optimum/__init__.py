"""The optimum of an experiment, found from the environment's own derivatives."""

from agents.optimum.best_known import BestKnownLoss as BestKnownLoss
from agents.optimum.best_known import best_known_loss as best_known_loss
from agents.optimum.losses import OptimalLoss as OptimalLoss
from agents.optimum.losses import optimal_loss as optimal_loss
from agents.optimum.matrices import LinearQuadraticMatrices as LinearQuadraticMatrices
from agents.optimum.matrices import linear_quadratic_matrices as linear_quadratic_matrices
from agents.optimum.policy import OptimalPolicy as OptimalPolicy
from agents.optimum.policy import expected_loss as expected_loss
from agents.optimum.refusals import NoOptimumError as NoOptimumError
