"""Ways of learning delays, side by side on one task and one chip.

usage: python -m bench.comparison [--output build/comparison] [--jobs N] [--keep FOLDER] [PLAN ...]
       python -m bench.comparison --table ROWS

Runs the plans (bench/plans/digits.toml unless others are named) into folders of their names under
the output, continuing what is there, and prints a Markdown table for each: mean and standard
deviation over seeds.  --keep leaves the rows, without the epochs, in FOLDER, too: those of
docs/comparison.md are in bench/measured/comparison.  --table prints the table of a file of rows.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from bench.tables import mean_and_spread
from ranvier.experiment import ROWS, Results, read_plan, run_plan
from ranvier.kernel_cache import install

PLANS = [Path("bench/plans/digits.toml")]
COLUMNS = (
    "run", "seeds", "parameters", "float %", "chip %", "memory bits", "clocks", "processor s",
    "peak MB",
)  # fmt: skip


def table(path):
    """Return a Markdown table of a file of rows, in the order of their names."""
    groups = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        groups.setdefault(row["name"], []).append(row)
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for name, rows in sorted(groups.items()):
        cells = (
            name,
            str(len(rows)),
            f"{rows[0]['parameters']:,}",
            mean_and_spread([100 * row["float_accuracy"] for row in rows]),
            mean_and_spread([100 * row["chip_accuracy"] for row in rows]),
            f"{np.mean([row['memory_bits'] for row in rows]):,.0f}",
            f"{np.mean([row['clocks'] for row in rows]):,.0f}",
            # What was stopped once does not know how long it took.
            mean_and_spread(
                [r["processor_seconds"] for r in rows if not r["resumed"]] or [np.nan], 0
            ),
            f"{np.mean([row['peak_bytes'] for row in rows]) / 1e6:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def keep(results, path):
    """Leave the rows of `results` in a file, in the order of their names and seeds."""
    rows = sorted(results.rows.values(), key=lambda row: (row["name"], row["seed"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for row in rows:
            kept = {name: value for name, value in row.items() if name != "history"}
            file.write(json.dumps(kept, sort_keys=True) + "\n")


def main():
    """Run plans, or print what has been measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plans", type=Path, nargs="*", default=PLANS)
    parser.add_argument("--output", type=Path, default=Path("build/comparison"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    if args.table is not None:
        print(table(args.table))
        return
    install()
    for plan in args.plans:
        results = Results(args.output / plan.stem)
        run_plan(
            read_plan(plan),
            results,
            workers=args.jobs,
            scheduler=None,
            progress=lambda job, row: print(
                f"{job.trial.name}, seed {job.trial.seed}: "
                + (row if isinstance(row, str) else f"{100 * row['float_accuracy']:.2f} %"),
                flush=True,
            ),
        )
        if args.keep is not None:
            keep(results, args.keep / f"{plan.stem}.jsonl")
        print(f"\n{plan}\n\n{table(results.folder / ROWS)}\n")


if __name__ == "__main__":
    main()
