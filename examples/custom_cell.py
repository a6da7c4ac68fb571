"""A recurrent cell of one's own: units whose connections have rank two.

python examples/custom_cell.py          # about half a minute
python examples/custom_cell.py --quick  # a few seconds, to see that it runs
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp

from agents import point_mass_nn_simple_reaches


class LowRankCell(eqx.Module):
    """A leaky layer whose recurrent weights are the product of two thin matrices.

        h' = (1 - leak) h + leak tanh(M N^T h / n + W x + b)

    As in Mastrogiuseppe and Ostojic, Neuron 99:609 (2018).
    """

    left: jax.Array
    right: jax.Array
    weight_ih: jax.Array
    bias: jax.Array
    leak: float = eqx.field(static=True)

    def __init__(self, input_size: int, hidden_size: int, *, key: jax.Array) -> None:
        key_left, key_right, key_input = jax.random.split(key, 3)
        self.left = jax.random.normal(key_left, (hidden_size, 2))
        self.right = jax.random.normal(key_right, (hidden_size, 2))
        self.weight_ih = jax.random.normal(key_input, (hidden_size, input_size)) / input_size**0.5
        self.bias = jnp.zeros(hidden_size)
        self.leak = 0.5

    def __call__(self, inputs: jax.Array, hidden: jax.Array) -> jax.Array:
        recurrent = self.left @ (self.right.T @ hidden) / len(hidden)
        drive = recurrent + self.weight_ih @ inputs + self.bias
        return (1 - self.leak) * hidden + self.leak * jnp.tanh(drive)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network with a cell of your own.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    n_batches = 10 if parser.parse_args().quick else 3000

    context = point_mass_nn_simple_reaches(hidden_type=LowRankCell, key=jax.random.key(0))
    model, _ = context.train(n_batches=n_batches, log_step=500, key=jax.random.key(1))
    metrics, _ = context.task.evaluate(model, key=jax.random.key(2))
    print(f"Low-rank network: {metrics['ratio_to_optimum']:.3f} times the optimum")


if __name__ == "__main__":
    main()
