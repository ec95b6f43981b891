"""`python -m ranvier` is `ranvier`."""

from ranvier.cli import main

main(prog_name="ranvier")
