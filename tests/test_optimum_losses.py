"""The exact optimum against the known numbers and against brute force."""

from pathlib import Path

from fbx_env import (
    ConstantForce,
    CurlField,
    ElasticField,
    ForcePulse,
    VelocityField,
)

DATA = Path(__file__).parent / "data"

NOISY = {
    "motor noise": {"motor_noise": 0.1},
    "motor noise and delays": {"motor_noise": 0.1, "motor_delay": 1, "sensory_delay": 2},
    "sensory noise": {"sensory_noise": 0.02},
    "both, delays, a heavy damped mass": {
        "motor_noise": 0.2,
        "sensory_noise": 0.03,
        "mass": 1.5,
        "damping": 0.5,
        "motor_delay": 2,
        "sensory_delay": 3,
        "max_steps_in_episode": 60,
    },
}

CASES = {
    "none": (),
    "none, delay 1": (),
    "curl 0.5": (CurlField(0.5),),
    "curl 1": (CurlField(1.0),),
    "curl -1": (CurlField(-1.0),),
    "viscous 0.5 (F = -c v)": (VelocityField(((-0.5, 0.0), (0.0, -0.5))),),
    "viscous 1 (F = -c v)": (VelocityField(((-1.0, 0.0), (0.0, -1.0))),),
    "spring 0.5 N/m to start": (ElasticField(0.5),),
    "spring 1 N/m to start": (ElasticField(1.0),),
    "constant (0.2, -0.1) N": (ConstantForce((0.2, -0.1)),),
    "pulse (2, 0) N, steps 30-39": (ForcePulse((2.0, 0.0), 1.5, 0.5),),
    "pulse 2 N to the left of the reach, steps 30-39": (
        ForcePulse((0.0, 2.0), 1.5, 0.5, relative=True),
    ),
    "curl 0.5, delay 1": (CurlField(0.5),),
    "curl 1, delay 1": (CurlField(1.0),),
    "curl -1, delay 1": (CurlField(-1.0),),
}
