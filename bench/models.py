"""Float and chip accuracy of every shipped network, at 8-bit weights and 6-bit delays.

usage: python bench/models.py [--shd TRAIN TEST] [--weight-bits 8] [--delay-bits 6] [--json]

TRAIN and TEST are files of SHD, events or counts; without them the networks trained on SHD are
left out.  Networks are calibrated on training recordings.  Prints one Markdown table row each.
"""

import argparse
import json
from dataclasses import replace

import numpy as np

from quant import quantize
from quant.evaluate import evaluate
from ranvier.defaults import OPTIONS
from ranvier.sources import for_image, for_network, labelled, open_data, open_network, shipped, some

CALIBRATION = 256
TEST_ONLY_SPEAKERS = (4, 5)


def measured(name, data, calibration, options):
    """Quantize the network `name` and classify `data` in float and on the chip."""
    network = open_network(name)
    typical = for_network(some(open_data(calibration), CALIBRATION), network).counts
    image, _ = quantize(network, chip=None, options=options, calibration=typical)
    counts = for_image(labelled(open_data(data), data), image)
    result = evaluate(network, image, counts.counts, counts.labels)
    lost, half = result.lost
    return {
        "network": name,
        **of_speakers(result, counts.speakers),
        "parameters": network.parameters,
        "recordings": len(counts),
        "float": 100 * result.float_accuracy,
        "chip": 100 * result.chip_accuracy,
        "lost": 100 * lost,
        "half_interval": 100 * half,
        "agreement": 100 * result.agreement,
    }


def of_speakers(result, speakers):
    """Accuracies of the speakers whom nobody trained on, where the data set is SHD."""
    if speakers is None or not np.isin(TEST_ONLY_SPEAKERS, speakers).all() or speakers.max() > 11:
        return {}
    unheard = np.isin(speakers, TEST_ONLY_SPEAKERS)
    right = result.labels[unheard]
    return {
        "unheard": int(unheard.sum()),
        "unheard_float": 100 * float((result.float_classes[unheard] == right).mean()),
        "unheard_chip": 100 * float((result.chip_classes[unheard] == right).mean()),
    }


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shd", nargs=2, metavar=("TRAIN", "TEST"), help="files of SHD")
    parser.add_argument("--weight-bits", type=int, default=OPTIONS.weight_bits)
    parser.add_argument("--delay-bits", type=int, default=OPTIONS.delay_bits)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    options = replace(OPTIONS, weight_bits=args.weight_bits, delay_bits=args.delay_bits)
    rows = []
    for name in shipped():
        if name.startswith("digits"):
            rows.append(measured(name, "digits", "digits:train", options))
        elif args.shd:
            train, test = args.shd
            rows.append(measured(name, test, train, options))
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("| network | parameters | recordings | float % | chip % | points lost | same class % |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['network']} | {r['parameters']} | {r['recordings']} | {r['float']:.2f} "
            f"| {r['chip']:.2f} | {r['lost']:.2f} +- {r['half_interval']:.2f} "
            f"| {r['agreement']:.2f} |"
        )
    for r in rows:
        if "unheard" in r:
            print(
                f"\n{r['network']}, speakers 4 and 5 alone ({r['unheard']} recordings): float "
                f"{r['unheard_float']:.2f} %, chip {r['unheard_chip']:.2f} %"
            )


if __name__ == "__main__":
    main()
