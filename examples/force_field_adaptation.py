"""Adapt to a curl field as people do: errors, after-effects, force channels, generalisation.

python examples/force_field_adaptation.py          # less than two minutes on two cores
python examples/force_field_adaptation.py --quick  # a few updates, to see that it runs
python examples/force_field_adaptation.py --id TwoLinkArmReach-v0 --strength 13  # an arm
"""

import argparse

import jax

from agents import adapt, pairing
from fbx_env import CurlField, GivenReaches, plot


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapt a trained network to a curl field.")
    parser.add_argument("--id", default="PointMassReach-v0", help="of the reaches of a body")
    parser.add_argument("--strength", type=float, default=1.0, help="of the field [N s/m]")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    options = parser.parse_args()
    n_train, n_field, n_washout = (3, 2, 1) if options.quick else (1000, 300, 150)

    keys = jax.random.split(jax.random.key(0), 3)
    context = pairing(options.id, key=keys[0])
    model, _ = context.train(n_batches=n_train, key=keys[1])

    params, field = context.task.params, CurlField(options.strength)
    adaptation = adapt(
        model, params, field, key=keys[2], n_baseline=20, n_field=n_field, n_washout=n_washout
    )
    plot.adaptation_curve(adaptation.frame, adaptation.references)[0].savefig("adaptation.png")
    plot.channel_forces(adaptation.forces)[0].savefig("channel_forces.png")
    plot.reaches_by_stage(adaptation.reaches)[0].savefig("adaptation_reaches.png")

    # Learnt in one direction only, how much of it is expected in the others?
    trials = params.task.validation_trials()
    one_way = adapt(
        model,
        params,
        field,
        key=keys[2],
        n_baseline=0,
        n_field=n_field,
        n_washout=1,
        updates_per_block=max(1, n_field // 10),
        task=GivenReaches(trials.start[:1], trials.goal[:1]),
    )
    plot.generalisation(one_way.frame, trained=[0.0])[0].savefig("generalisation.png")

    frame = adaptation.frame
    at_end = frame[(frame.phase == "washout") & (frame.n_updates == 20 + n_field)]
    of_condition = at_end.groupby("condition")
    print(adaptation.references)  # Empty where there is no exact optimum, as for arms.
    print(of_condition[["perpendicular_error", "loss", "adaptation_index"]].mean())


if __name__ == "__main__":
    main()
