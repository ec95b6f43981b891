"""`import ranvier`: every public name, imported when it is first used."""

import subprocess
import sys
from pathlib import Path

import pytest

import ranvier

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ranvier.__all__)
def test_name_is_there(name):
    assert getattr(ranvier, name) is not None
    assert name in dir(ranvier)


def test_load_and_save_are_those_of_their_room():
    import datapath.files
    import events
    import model

    assert ranvier.load_network is model.load
    assert ranvier.save_network is model.save
    assert ranvier.load_image is datapath.files.load
    assert ranvier.save_image is datapath.files.save
    assert ranvier.load_data is events.load


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ranvier' has no attribute 'quantise'"):
        ranvier.__getattr__("quantise")


def test_import_imports_nothing():
    script = (
        "import sys\nbefore = set(sys.modules)\nimport ranvier\n"
        "print(sorted(set(sys.modules) - before - {'ranvier'}))\n"
        "ranvier.Chip\nprint('numba' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    new, numba = run.stdout.splitlines()
    assert not {"numpy", "numba", "model", "datapath"} & set(new.split("'"))
    assert numba == "False"
