"""Sharding a training over devices, of this process and of others, by a JAX mesh.

A mesh has two axes: one over which replicates are sharded, one over which the trials of a batch
are. Every device makes the same update from its own trials and the mean of all gradients.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend.backend import clear_backends
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, PyTree

from fbx_env import checks

REPLICATES, TRIALS = "replicates", "trials"

WHOLE = PartitionSpec()
"""The partition of what every device has all of."""


def make_mesh(devices: Sequence[jax.Device], n_replicates: int, batch_size: int) -> Mesh:
    """Arrange devices in a mesh that shards replicates and trials evenly.

    Replicates are sharded first, as they need nothing of each other.

    Args:
        devices: on which to train.
        n_replicates: models that are trained side by side.
        batch_size: trials in each update.

    Raises:
        TypeError, ValueError: if the devices are no devices, or cannot be given equal shares.
    """
    got, devices = devices, list(devices) if isinstance(devices, Iterable) else []
    if not devices or not all(isinstance(device, jax.Device) for device in devices):
        raise TypeError(f"devices must be JAX devices such as jax.devices(), got {got!r}")
    if len(set(devices)) < len(devices):
        raise ValueError(f"devices must be different from each other, got {devices!r}")
    for_replicates = math.gcd(n_replicates, len(devices))
    for_trials = len(devices) // for_replicates
    if batch_size % for_trials:
        raise ValueError(
            f"batch_size must be a multiple of {for_trials}, so that the {len(devices)} devices "
            f"have as many trials each; got {batch_size}"
        )
    grid = np.array(devices).reshape(for_replicates, for_trials)
    return Mesh(grid, (REPLICATES, TRIALS))


def replicated(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Return the pytree with all of every array on every device of the mesh."""
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, WHOLE)
    return jax.tree.map(
        lambda leaf: _replicated_array(leaf, everywhere) if isinstance(leaf, jax.Array) else leaf,
        tree,
    )


def _replicated_array(array: Array, everywhere: NamedSharding) -> Array:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _replicated_array(jax.random.key_data(array), everywhere)
        keys: Array = jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
        return keys
    # ``jax.device_put`` does not know the devices of other processes.
    values = np.asarray(array)
    return jax.make_array_from_callback(values.shape, everywhere, lambda index: values[index])


def on_first_device(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Return the pytree with what is on this process's first device of the mesh."""
    if mesh is None:
        return tree
    return jax.tree.map(
        lambda leaf: leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf, tree
    )


def sharded(
    function: Callable[..., Any], mesh: Mesh | None, in_specs: Any, out_specs: Any
) -> Callable[..., Any]:
    """Return a function that runs on every device of a mesh, on its part of the arguments.

    Args:
        function: of pytrees of arrays. It may use the other functions of this module.
        mesh: of the devices; if ``None``, the function itself is returned.
        in_specs, out_specs: how arguments and results are partitioned, as of ``jax.shard_map``.

    Returns:
        A function of whole arguments, with whole results on every device.
    """
    if mesh is None:
        return function
    shared = jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )
    everywhere = NamedSharding(mesh, WHOLE)

    def whole(*arguments: Any) -> Any:
        return jax.lax.with_sharding_constraint(shared(*arguments), everywhere)

    return whole


def own_trials(batch: PyTree, mesh: Mesh | None) -> PyTree:
    """Return this device's part of arrays with a leading axis over the trials of a batch."""
    if mesh is None:
        return batch
    index, n_parts = jax.lax.axis_index(TRIALS), mesh.shape[TRIALS]
    return jax.tree.map(lambda leaf: leaf.reshape(n_parts, -1, *leaf.shape[1:])[index], batch)


def mean_over_trials(means: PyTree, mesh: Mesh | None) -> PyTree:
    """Return the means over all trials, from those over the trials of each device."""
    return means if mesh is None else jax.lax.pmean(means, TRIALS)


def with_mean_gradient(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Return the pytree, with respect to which a gradient is the mean of those of all devices.

    A loss that is a mean over all trials has on each device the gradient of its own trials. A line
    search differentiates the loss itself, and must do the same steps on every device.
    """
    return tree if mesh is None else _with_mean_gradient(tree)


@jax.custom_vjp
def _with_mean_gradient(tree: PyTree) -> PyTree:
    return tree


_with_mean_gradient.defvjp(
    lambda tree: (tree, None), lambda _, gradient: (jax.lax.pmean(gradient, TRIALS),)
)


def any_replicate(condition: Bool[Array, "..."], mesh: Mesh | None) -> Bool[Array, ""]:
    """Return whether a condition holds for any replicate, of any device."""
    here = jnp.any(condition)
    return here if mesh is None else jax.lax.pmax(here.astype(jnp.int32), REPLICATES) > 0


def spans_processes(mesh: Mesh | None) -> bool:
    """Return whether the mesh has devices of several processes."""
    return mesh is not None and bool(mesh.is_multi_process)


def is_first_process(mesh: Mesh | None) -> bool:
    """Return whether this process is the one that reports and writes for all of the mesh."""
    return not spans_processes(mesh) or jax.process_index() == 0


def broadcast_from_first(content: bytes) -> bytes:
    """Return the bytes of the first process, in all processes; every process must call this."""
    length = int(multihost_utils.broadcast_one_to_all(np.array(len(content))))
    message = np.zeros(length, np.uint8)
    if jax.process_index() == 0:
        message[:] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(message), np.uint8).tobytes()


def all_processes(condition: bool) -> bool:
    """Return whether a condition holds in all processes; every process must call this."""
    return bool(np.all(multihost_utils.process_allgather(np.array(condition))))


def synchronise(mesh: Mesh | None, number: int, signal: int | None) -> tuple[int, int | None]:
    """Return the same number and signal in all processes of a mesh.

    Args:
        mesh: of the processes.
        number: of this process; that of the first one is returned.
        signal: that this process has received, if any; one that any has received is returned.
    """
    if not spans_processes(mesh):
        return number, signal
    everybody = multihost_utils.process_allgather(np.array([number, signal or 0]))
    return int(everybody[0, 0]), int(everybody[:, 1].max()) or None


@dataclass(frozen=True)
class Computers:
    """The devices that train together, for command lines.

    Raises:
        TypeError, ValueError: for a value that is not allowed.
    """

    devices: int = 1
    """Devices of this process over which the trials of each batch, or the replicates, are
    sharded. On a CPU these are cores, and pay for batches of a hundred trials or more."""
    coordinator: str | None = None
    """If several processes train together: where all of them reach the first one, as host:port; or
    auto, where a scheduler such as Slurm or Open MPI tells. Start the same command for each."""
    n_processes: int | None = None
    """How many processes train together."""
    process: int | None = None
    """The number of this process among them, from 0 on. The first one prints and writes."""

    def __post_init__(self) -> None:
        checks.whole("devices", self.devices, at_least=1, at_most=1024)
        numbers = (self.n_processes, self.process)
        if self.coordinator in (None, "auto"):
            if numbers != (None, None):
                raise ValueError("n_processes and process go with a coordinator, as host:port")
            return
        _, colon, port = str(self.coordinator).rpartition(":")
        if not colon or not port.isdecimal():
            raise ValueError(f"coordinator must be auto or host:port, got {self.coordinator!r}")
        if None in numbers:
            raise ValueError("with a coordinator, n_processes and process must be given")
        n_processes = checks.whole("n_processes", self.n_processes, at_least=1, at_most=10**5)
        checks.whole("process", self.process, at_least=0, at_most=n_processes - 1)

    def start(self) -> list[jax.Device] | None:
        """Find the devices, and the other processes; call it before JAX computes anything.

        Returns:
            The devices of all processes; ``None`` if there is only the default one.

        Raises:
            ValueError: if this process has fewer devices, processes were given different numbers,
                or the coordinator's port is in use.
            RuntimeError: if the other processes are not found.
        """
        if self.devices > 1 or self.coordinator is not None:
            # Importing gymnax computes something, after which JAX takes no settings any more.
            clear_backends()
            jax.config.update("jax_num_cpu_devices", self.devices)
        if self.coordinator == "auto":
            jax.distributed.initialize()
        elif self.coordinator is not None:
            if self.process == 0:
                _check_free(int(self.coordinator.rpartition(":")[2]))
            jax.distributed.initialize(self.coordinator, self.n_processes, self.process)
        if len(jax.local_devices()) < self.devices:
            raise ValueError(
                f"devices must be at most {len(jax.local_devices())}, which is what JAX finds "
                f"here, got {self.devices}"
            )
        if self.devices == jax.process_count() == 1:
            return None
        by_process = [jax.local_devices(process) for process in range(jax.process_count())]
        counts = [len(devices) for devices in by_process]
        if len(set(counts)) == 1:
            counts = multihost_utils.process_allgather(np.array(self.devices)).ravel().tolist()
        if len(set(counts)) > 1:
            raise ValueError(f"devices must be as many in each process, got {counts}")
        return [device for devices in by_process for device in devices[: self.devices]]


def _check_free(port: int) -> None:
    """Raise ``ValueError`` if a port cannot be listened on; JAX would crash."""
    try:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", port))
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"coordinator must have a port that is free, got {port} ({error})"
        ) from error
