"""Run every bench that needs no data of its own: `python -m bench`."""

import runpy
import sys

BENCHES = ("bench.models", "bench.emulator_speed", "bench.learning_speed")


def main():
    """Run them one after another."""
    for name in BENCHES:
        print(f"\n{name}", flush=True)
        sys.argv = [name]
        runpy.run_module(name, run_name="__main__")


if __name__ == "__main__":
    main()
