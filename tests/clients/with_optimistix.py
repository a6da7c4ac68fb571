"""optimistix: the mass by least squares.

In an environment with `pip install "optimistix"`; ran with 0.1.0.
"""

import jax.numpy as jnp
import optimistix
from movement import MASS, SEEN, path

solver = optimistix.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
solution = optimistix.least_squares(lambda mass, _: path(mass) - SEEN, solver, jnp.array(1.0))
assert abs(solution.value - MASS) < 0.1
print(f"optimistix: mass {solution.value:.2f} kg, was {MASS} kg")
