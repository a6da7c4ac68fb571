"""The program of a chunk of updates: it runs to its end without the host."""

import equinox as eqx
import jax
import pytest

from agents import BPTTConfig, GRUPolicy, Ramp
from agents.bptt.algorithm import init_state, make_setup
from agents.bptt.compilation import Program, compile_updates
from fbx_env import CurlField, ReachEnv, UniformDraw, make

KEY = jax.random.key(0)
OF_HOST = ("callback", "infeed", "outfeed", "send", "recv")
"""What programs of XLA call the host by."""

EXPERIMENTS = {
    "point mass": {},
    "loads, draws, delays, noise": {
        "loads": (CurlField(0.5),),
        "draws": (UniformDraw("loads.curl.strength", -1.0, 1.0, told=True),),
        "sensory_delay": 2,
        "sensory_noise": 0.01,
        "motor_noise": 0.1,
    },
    "muscle arm": {"id": "MuscleArmDelayedReach-v0"},
}


class Printing(GRUPolicy):
    """A policy that calls the host."""

    def __call__(self, obs, carry, *, key=None):
        jax.debug.print("{}", obs)
        return super().__call__(obs, carry, key=key)


def program_of(monkeypatch, kind, params, config):
    """The text of the program of a chunk of updates."""
    texts = []

    def note(program, *arguments):
        texts.append(program.jitted.lower(*eqx.filter(arguments, eqx.is_array)).as_text())
        return program.jitted

    monkeypatch.setattr(Program, "compile", note)
    n_seen = ReachEnv().observation_space(params).shape[0]
    policy = kind(n_seen, len(params.plant.controls), 5, key=KEY)
    setup = make_setup(policy, ReachEnv(), params, config, None, None)
    compile_updates(init_state(policy, setup, KEY), setup)
    (text,) = texts
    return text


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_chunk_of_updates_never_calls_the_host(monkeypatch, name):
    _, params = make(**EXPERIMENTS[name])
    config = BPTTConfig(batch_size=4, schedules=(Ramp("loss.terms.command.weight", 1e-6, 1e-5),))
    text = program_of(monkeypatch, GRUPolicy, params, config)
    assert "stablehlo.while" in text
    assert [each for each in OF_HOST if each in text.lower()] == []


def test_a_policy_that_calls_the_host_is_found(monkeypatch):
    text = program_of(monkeypatch, Printing, make()[1], BPTTConfig(batch_size=4))
    assert "callback" in text
