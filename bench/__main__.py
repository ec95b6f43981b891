"""Run every bench that needs no data of its own: `python -m bench`."""

import subprocess
import sys
from pathlib import Path

BENCHES = ("models", "emulator_speed", "learning_speed")


def main():
    """Run them one after another, each in a process of its own."""
    for name in BENCHES:
        print(f"\n{name}", flush=True)
        path = Path(__file__).parent / f"{name}.py"
        if subprocess.run([sys.executable, str(path)], check=False).returncode:
            sys.exit(f"{path} has failed")


if __name__ == "__main__":
    main()
