"""Images on disk: the same after a round trip, refused in one sentence when anything is wrong."""

import errno
import io
import json
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapath import Delay, Format, Image, Kind, Population, Projection, Reset, archive, ports
from datapath.arrays import packed, unpacked
from datapath.catalog import CHIPS, DIGITS_SYNAPTIC, TINY
from datapath.contents import contents, controls
from datapath.export import export, load_mem, mem
from datapath.files import (
    chip_digest,
    chip_from_json,
    chip_to_json,
    digest,
    image_files,
    load,
    load_chip,
    names,
    read_extra,
    save,
)
from datapath.memory import Field, Memory, addresses, control, memories, words
from datapath.registers import MEANING, meaning_key
from datapath.schema import readable
from datapath.zipped import LARGEST_FILES, unzipped, zipped

PATHS = ["net.ranvier", "folder"]


def tiny(**changes) -> Image:
    """Five hidden neurons and three readouts on TINY, one projection of each delay mode."""
    rng = np.random.default_rng(0)
    weights = {shape: rng.integers(-16, 16, shape) for shape in ((5, 6), (5, 5), (3, 5))}
    given_ = {
        "chip": TINY,
        "input_name": "in",
        "channels": 6,
        "units": 12,
        "dt_us": 1000,
        "steps": 20,
        "populations": (
            Population(
                "hidden", Kind.LIF, 5, [1, 2, 3, 4, 2047], -128, 127, Reset.SUBTRACT, emit=True
            ),
            Population("out", Kind.READOUT, 3, 1, 0, 64, Reset.ZERO, emit=False),
        ),
        "projections": (
            Projection("a", "in", "hidden", weights[5, 6], 1, Delay.AXONAL, [0, 1, 2, 5, 6, 7], 0),
            Projection(
                "b", "hidden", "hidden", weights[5, 5], 0, Delay.SYNAPTIC, weights[5, 5] & 3, 1
            ),
            Projection("c", "hidden", "out", weights[3, 5], 0, Delay.DENDRITIC, [0, 7, 3], 0),
            Projection("d", "in", "out", weights[5, 6][:3], 2, Delay.NONE, 0, 0),
        ),
        "labels": ("zero", "één", "\N{SNOWMAN}"),
        "provenance": {"from": "a test", "seed": 7},
    }
    return Image(**{**given_, **changes})


def same(a: Image, b: Image) -> None:
    """Assert that every field of two images is equal, arrays included."""
    for name in ("chip", "input_name", "channels", "units", "dt_us", "steps", "labels"):
        assert getattr(a, name) == getattr(b, name)
    assert dict(a.provenance) == dict(b.provenance)
    for table in ("populations", "projections"):
        for x, y in zip(getattr(a, table), getattr(b, table), strict=True):
            for name in x.__slots__:
                left, right = getattr(x, name), getattr(y, name)
                assert type(left) is type(right)
                assert np.array_equal(left, right)


def forge(path, change) -> Path:
    """Save an image, let `change` alter its files by name, and sign the result."""
    files = image_files(tiny())
    change(files)
    archive.write(path, files)
    return path


def with_header(change):
    """Alter the JSON header of `image.npz`."""

    def alter(files):
        header, arrays = unpacked(files["image.npz"], "image.npz")
        change(header)
        files["image.npz"] = packed(header, arrays)

    return alter


def with_arrays(change):
    """Alter the arrays of `image.npz`."""

    def alter(files):
        header, arrays = unpacked(files["image.npz"], "image.npz")
        change(arrays)
        files["image.npz"] = packed(header, arrays)

    return alter


def with_member(name, data):
    """Put other bytes into `image.npz`."""

    def alter(files):
        inside = unzipped(files["image.npz"], "image.npz")
        files["image.npz"] = zipped({**inside, name: data}, deflate=False)

    return alter


def with_chip(change):
    """Alter `chip.json`."""

    def alter(files):
        document = json.loads(files["chip.json"])
        change(document)
        files["chip.json"] = readable(document)

    return alter


# Round trips


@pytest.mark.parametrize("path", PATHS)
def test_an_image_comes_back_as_it_was_saved(tmp_path, path):
    save(tiny(), tmp_path / path)
    same(load(tmp_path / path), tiny())
    assert digest(load(str(tmp_path / path))) == digest(tiny())


def test_a_path_that_ends_in_ranvier_is_one_file_and_any_other_a_folder(tmp_path):
    save(tiny(), tmp_path / "net.ranvier")
    save(tiny(), tmp_path / "net.d")
    assert (tmp_path / "net.ranvier").is_file()
    assert {p.name for p in (tmp_path / "net.d").iterdir()} == {
        "chip.json",
        "image.npz",
        "manifest.json",
    }
    assert {p.name for p in tmp_path.iterdir()} == {"net.ranvier", "net.d"}


@pytest.mark.parametrize("path", PATHS)
def test_extras_are_carried_along_unchanged(tmp_path, path):
    extras = {"network.npz": bytes(range(256)), "loss.json": b"", "a-b_c.2.txt": b"x" * 99}
    save(tiny(), tmp_path / path, extras=extras)
    assert names(tmp_path / path) == (
        "a-b_c.2.txt",
        "chip.json",
        "image.npz",
        "loss.json",
        "network.npz",
    )
    for name, data in extras.items():
        assert read_extra(tmp_path / path, name) == data
    with pytest.raises(ValueError, match=r"has no x\.txt; there are a-b_c\.2\.txt, chip\.json, im"):
        read_extra(tmp_path / path, "x.txt")


def test_the_same_image_gives_the_same_bytes(tmp_path):
    extras = {"b": b"1", "a": b"2"}
    save(tiny(), tmp_path / "one.ranvier", extras=extras)
    save(tiny(), tmp_path / "two.ranvier", extras=dict(reversed(extras.items())))
    assert (tmp_path / "one.ranvier").read_bytes() == (tmp_path / "two.ranvier").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.ranvier") as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file.namelist() == ["manifest.json", "a", "b", "chip.json", "image.npz"]


def test_numpy_and_json_read_the_files_on_their_own(tmp_path):
    save(tiny(), tmp_path / "net")
    with np.load(tmp_path / "net" / "image.npz", allow_pickle=False) as arrays:
        assert (arrays["projections.0.weights"] == tiny().projections[0].weights).all()
        assert json.loads(arrays["header"].tobytes())["steps"] == 20
    document = json.loads((tmp_path / "net" / "chip.json").read_text())
    assert document["chip"]["lif"]["v"] == {"width": 12, "frac": 0, "signed": True}
    assert document["digest"] == chip_digest(TINY)


def test_a_large_image_of_zeros_can_be_read_again(tmp_path):
    """What shrinks a thousandfold looks like a zip bomb, and is stored instead."""
    save(tiny(), tmp_path / "net.ranvier", extras={"zeros": bytes(20 * 2**20)})
    assert read_extra(tmp_path / "net.ranvier", "zeros") == bytes(20 * 2**20)


def test_the_file_may_be_reached_through_a_link(tmp_path):
    save(tiny(), tmp_path / "net.ranvier")
    (tmp_path / "link.ranvier").symlink_to(tmp_path / "net.ranvier")
    same(load(tmp_path / "link.ranvier"), tiny())
    save(tiny(steps=21), tmp_path / "link.ranvier")
    assert (tmp_path / "link.ranvier").is_symlink()
    assert load(tmp_path / "net.ranvier").steps == 21


# Digest


def test_the_digest_does_not_see_the_provenance():
    assert digest(tiny(provenance={})) == digest(tiny())


def test_the_digest_sees_every_field_and_every_integer():
    image = tiny()
    hidden, out = image.populations
    a, *rest = image.projections
    flipped = a.weights.copy()
    flipped[4, 5] ^= 1
    variants = [
        replace(image, chip=replace(TINY, synapses=129)),
        replace(image, units=13),
        replace(image, dt_us=1001),
        replace(image, steps=21),
        replace(image, labels=()),
        replace(image, populations=(replace(hidden, emit=False), out)),
        replace(image, populations=(replace(hidden, reset=Reset.ZERO), out)),
        replace(image, populations=(replace(hidden, bias=[-128] * 4 + [-127]), out)),
        replace(image, populations=(replace(hidden, threshold=[1, 2, 3, 4, 5]), out)),
        replace(image, populations=(replace(hidden, coefficient=126), out)),
        replace(image, projections=(replace(a, weights=flipped), *rest)),
        replace(image, projections=(replace(a, scale=0), *rest)),
        replace(image, projections=(replace(a, delays=[0, 1, 2, 5, 6, 6]), *rest)),
        replace(image, projections=(replace(a, name="aa"), *rest)),
        replace(image, projections=tuple(rest)),
        replace(image, projections=(*rest, a)),
    ]
    assert len({digest(image), *map(digest, variants)}) == 1 + len(variants)


# Chip as JSON


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_a_chip_comes_back_from_json(chip):
    document = json.loads(json.dumps(chip_to_json(chip)))
    assert chip_from_json(document) == chip
    assert hash(chip_from_json(document)) == hash(chip)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 48), st.integers(-64, 64), st.sampled_from(["floor", "zero", "nearest"]))
def test_any_format_comes_back_from_json(width, frac, rounding):
    lif = replace(TINY.lif, bias=Format(width, frac), rounding=rounding)
    chip = replace(TINY, lif=lif)
    assert chip_from_json(chip_to_json(chip)) == chip


def put(*keys, value):
    """Set one value in a nested dict; value None takes the key out."""

    def change(document):
        *path, last = keys
        for key in path:
            document = document[key]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return change


CHIP_JSON_ERRORS = [
    (put("lanes", value=True), "lanes must be a whole number, not true"),
    (put("lanes", value=2.0), "lanes must be a whole number, not 2.0"),
    (put("lanes", value="2"), 'lanes must be a whole number, not "2"'),
    (put("lanes", value=[2]), "lanes must be a whole number, not a list"),
    (put("lanes", value=3), "lanes must be a power of two between 1 and 1024, not 3"),
    (put("lanes", value=10**5000), "lanes must be a power of two between|digits"),
    (put("lane", value=2), "lane is not a field that is known; did you mean 'lanes'?"),
    (put("qqq", value=2), "qqq is not a field that is known; known are channels, neurons"),
    (put("lanes", value=None), "lanes is missing; add it or export the file again"),
    (put("axon", value=7), "axon must be an object, not 7"),
    (put("axon", "delays", value=None), "axon.delays is missing"),
    (put("axon", "delays", value=-1), "axon.delays must be between 0 and 16777216, not -1"),
    (put("axon", "dalays", value=1), "axon.dalays is not a field .* did you mean 'delays'?"),
    (put("synapse", "synaptic", value=1), "synapse.synaptic must be true or false, not 1"),
    (
        put("lif", "leak", value="sift"),
        "lif.leak must be 'shift' or 'multiply' or 'settle', not 'sift'",
    ),
    (put("lif", "leak", value=0), "lif.leak must be text, not 0"),
    (put("lif", "v", value=12), "lif.v must be an object, not 12"),
    (put("lif", "v", "width", value=49), "lif.v.width must be between 1 and 48 bits, not 49"),
    (put("lif", "v", "frac", value=0.5), "lif.v.frac must be a whole number, not 0.5"),
    (put("lif", "v", "signed", value=0), "lif.v.signed must be true or false, not 0"),
    (put("lif", "v", "signed", value=False), "lif.v must be signed"),
    (put("lif", "v", "bits", value=0), "lif.v.bits is not a field that is known"),
    (put("lif", "v", "width", value=None), "lif.v.width is missing"),
]


@pytest.mark.parametrize(("change", "sentence"), CHIP_JSON_ERRORS)
def test_a_chip_in_json_is_taken_strictly(change, sentence):
    document = chip_to_json(TINY)
    change(document)
    with pytest.raises(ValueError, match=sentence):
        chip_from_json(document)


@pytest.mark.parametrize("document", [None, [], 7, "chip"])
def test_a_chip_is_an_object(document):
    with pytest.raises(ValueError, match="the file must be an object, not"):
        chip_from_json(document)


def test_a_chip_is_read_from_every_kind_of_file(tmp_path):
    save(tiny(), tmp_path / "net.ranvier")
    save(tiny(), tmp_path / "net")
    by_hand = tmp_path / "mine.json"
    by_hand.write_text(json.dumps({"schema": 1, "chip": chip_to_json(DIGITS_SYNAPTIC)}))
    assert load_chip(tmp_path / "net.ranvier") == TINY
    assert load_chip(tmp_path / "net") == TINY
    assert load_chip(tmp_path / "net" / "chip.json") == TINY
    assert load_chip(by_hand) == DIGITS_SYNAPTIC


def test_a_chip_that_was_edited_says_so(tmp_path):
    save(tiny(), tmp_path / "net")
    path = tmp_path / "net" / "chip.json"
    path.write_text(path.read_text().replace('"lanes": 2', '"lanes": 1'))
    with pytest.raises(
        ValueError, match=r"chip\.json: digest is .*; they were changed, take the digest out if you"
    ):
        load_chip(path)
    with pytest.raises(FileNotFoundError, match=r"no\.json: cannot be read: No such file"):
        load_chip(tmp_path / "no.json")


# Refusals of what is inside


def lies(n, **changes):
    def change(header):
        header["populations"][n].update(changes)

    return with_header(change)


FORGED = [
    (lambda files: files.pop("image.npz"), "manifest.json lists no image.npz; export the image"),
    (lambda files: files.pop("chip.json"), "manifest.json lists no chip.json; export the image"),
    (lambda files: files.update({"chip.json": b"{"}), "chip.json: is not valid JSON .Expecting"),
    (lambda files: files.update({"chip.json": b"\xff"}), "chip.json: is not valid JSON .*utf-8"),
    (lambda files: files.update({"chip.json": b"[]"}), "chip.json: the file must be an object"),
    (lambda files: files.update({"chip.json": b'{"a":1,"a":2}'}), 'the key "a" is there twice'),
    (lambda files: files.update({"chip.json": b'{"a":NaN}'}), "NaN is not a number"),
    (lambda files: files.update({"chip.json": b"[" * 100_000}), "chip.json: is nested too deeply"),
    (lambda files: files.update({"chip.json": b"9" * 5000}), "chip.json: is not valid JSON"),
    (
        lambda files: files.update({"chip.json": b" " * (16 * 2**20 + 1)}),
        "chip.json: has 16777217 bytes, and the limit is 16777216",
    ),
    (with_chip(put("schema", value=2)), "chip.json: schema must be 1, not 2; read the file with"),
    (with_chip(put("schema", value=None)), "chip.json: schema must be a whole number, not null"),
    (with_chip(put("digest", value="0")), 'chip.json: digest is "0", and the parameters give "'),
    (with_chip(put("digest", value=None)), "chip.json: digest is missing"),
    (with_chip(put("chip", "lanes", value=4)), "chip.json: digest is .* export the chip again"),
    (with_chip(put("chip", "lanes", value=3)), "chip.json: lanes must be a power of two"),
    (with_chip(put("author", value="me")), "chip.json: author is not a field that is known"),
    (lambda files: files.update({"image.npz": b"PK"}), "image.npz: does not end like one of our"),
    (with_header(put("schema", value=9)), "image.npz: schema must be 1, not 9"),
    (with_header(put("steps", value=0)), "image.npz: steps must be at least 1, not 0"),
    (with_header(put("steps", value=1.5)), "image.npz: steps must be a whole number, not 1.5"),
    (with_header(put("steps", value=True)), "image.npz: steps must be a whole number, not true"),
    (with_header(put("steps", value=None)), "image.npz: steps is missing"),
    (with_header(put("stepz", value=1)), "image.npz: stepz is not .* did you mean 'steps'?"),
    (with_header(put("labels", value=[1, 2, 3])), r"image.npz: labels\[0\] must be text, not 1"),
    (with_header(put("labels", value=["x"])), "image.npz: labels must name the 3 readouts, not 1"),
    (
        with_header(put("provenance", "a", value=[])),
        r"provenance.a must be text or a whole .* \[\]",
    ),
    (with_header(put("populations", value=[1])), r"populations\[0\] must be an object, not 1"),
    (with_header(put("populations", value=[1] * 5)), "populations has 5 entries, .* chip has 4"),
    (with_header(put("projections", value=[])), r"projections\.0\.weights\.npy belongs to nothing"),
    (lies(0, kind="lip"), "image.npz: hidden: kind must be 'lif' or 'readout', not 'lip'"),
    (lies(0, name=""), "image.npz: a population's name must be printable"),
    (lies(0, name=None), r"populations\[0\].name must be text, not null"),
    (lies(0, size=10**12), r"populations\.0\.threshold must have shape \(1000000000000,\), not"),
    (lies(0, bias=1), r"populations\[0\].bias is not a field that is known"),
    (with_arrays(lambda a: a.pop("projections.1.delays")), r"projections\.1\.delays\.npy is mis"),
    (
        with_arrays(lambda a: a.update({"projections.1.delays": np.array(0, np.int8)})),
        r"projections\.1\.delays must have shape \(5, 5\), not \(\)",
    ),
    (
        with_arrays(lambda a: a.update({"projections.0.weights": np.full((5, 6), 16, np.int8)})),
        r"image.npz: a: weights\[0, 0\] = 16 does not fit Format\(width=5",
    ),
    (
        with_arrays(lambda a: a.update({"populations.0.bias": np.full(5, 2**62)})),
        r"image.npz: hidden: bias\[0\] = 4611686018427387904 does not fit Format\(width=8",
    ),
    (
        with_arrays(lambda a: a.update({"more": np.zeros(1, np.int8)})),
        "more.npy belongs to nothing",
    ),
    (with_member("more.txt", b""), "image.npz: more.txt is not an array; remove it or"),
]


@pytest.mark.parametrize(("change", "sentence"), FORGED)
def test_a_forged_file_is_refused_by_file_field_and_value(tmp_path, change, sentence):
    path = forge(tmp_path / "net.ranvier", change)
    with pytest.raises(ValueError, match=sentence) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (npy(np.array([{}]), allow_pickle=True), "is not an array of integers"),
        (npy(np.zeros(5)), "is not an array of integers"),
        (npy(np.zeros(5, ">i4")), "is not an array of integers"),
        (npy(np.asfortranarray(np.zeros((2, 3), np.int8))), "is not an array of integers"),
        (npy(np.zeros((1, 1, 5), np.int8)), "is not an array of integers"),
        (npy(np.zeros((5, 0), np.int8)), "is not an array of integers"),
        (npy(np.zeros(5, np.int8), version=(2, 0)), "is not an array of integers"),
        (b"", "is not an array of integers"),
        (b"\x93NUMPY\x01\x00\xff\xff", "is not an array of integers"),
        (npy_header("__import__('os').abort()"), "is not an array of integers"),
        (
            npy_header("{'descr': '<i8', 'fortran_order': False, 'shape': (999999999,), }\n"),
            "has 0 bytes, and an array of shape .999999999,. needs 7999999992",
        ),
        (npy(np.zeros(5, np.int8)) + b"x", r"has 6 bytes, and an array of shape \(5,\) needs 5"),
        (npy(np.zeros(5, np.int16))[:-1], r"has 9 bytes, and an array of shape \(5,\) needs 10"),
        (npy(np.zeros(4, np.int8)), r"must have shape \(5,\), not \(4,\)"),
    ],
)
def test_an_array_is_checked_before_it_is_made(tmp_path, data, sentence):
    path = forge(tmp_path / "net.ranvier", with_member("populations.0.bias.npy", data))
    with pytest.raises(ValueError, match=rf"populations\.0\.bias.*{sentence}"):
        load(path)


def test_the_header_is_bytes(tmp_path):
    for data in (npy(np.zeros(5, np.int16)), None):
        files = image_files(tiny())
        inside = unzipped(files["image.npz"], "image.npz")
        inside.pop("header.npy")
        if data is not None:
            inside["header.npy"] = data
        archive.write(tmp_path / "net", {**files, "image.npz": zipped(inside, deflate=False)})
        with pytest.raises(ValueError, match=r"image\.npz: has no bytes called header\.npy"):
            load(tmp_path / "net")


@pytest.mark.parametrize("value", [0.5, None, (), True])
def test_provenance_is_text_and_whole_numbers(tmp_path, value):
    with pytest.raises(ValueError, match=r"provenance\.x must be text or a whole number, not "):
        save(tiny(provenance={"x": value}), tmp_path / "net")
    assert not list(tmp_path.iterdir())


# Refusals of the container


def manifest_of(files) -> dict:
    return json.loads(archive._manifest(files))


def raw(path, files, manifest) -> Path:
    """Write `files` as they are, with any manifest, as a zip file or a folder."""
    everything = {"manifest.json": manifest, **files}
    if path.suffix:
        with zipfile.ZipFile(path, "w") as file:
            for name, data in everything.items():
                file.writestr(name, data)
    else:
        path.mkdir()
        for name, data in everything.items():
            (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("schema", value=2), "manifest.json: schema must be 1, not 2"),
        (put("digest", value="0"), "manifest.json: digest is not that of the files it lists"),
        (put("digest", value=None), "manifest.json: digest is missing"),
        (put("files", value=[]), "manifest.json: files must be an object, not a list"),
        (put("files", "chip.json", value=1), "files.chip.json must be an object, not 1"),
        (put("files", "chip.json", "bytes", value=-1), "files.chip.json.bytes must be between 0"),
        (put("files", "chip.json", "bytes", value=2**40), "files.chip.json.bytes must be between"),
        (put("files", "chip.json", "sha256", value=None), "files.chip.json.sha256 is missing"),
        (put("files", "../x", value={}), r"a file may not be called '\.\./x': at most 100 letters"),
        (put("files", "/etc/passwd", value={}), "a file may not be called '/etc/passwd'"),
        (put("files", "C:x", value={}), "a file may not be called 'C:x'"),
        (put("files", "a\\b", value={}), "a file may not be called"),
        (put("files", "..", value={}), r"a file may not be called '\.\.'"),
        (put("files", "", value={}), "a file may not be called ''"),
        (
            put("files", "Chip.json", value={"bytes": 0, "sha256": ""}),
            "names two files that differ in nothing but case",
        ),
        (
            put("files", "manifest.json", value={"bytes": 0, "sha256": ""}),
            "names two files that differ in nothing but case",
        ),
    ],
)
def test_a_manifest_is_taken_strictly(tmp_path, path, change, sentence):
    files = image_files(tiny())
    manifest = manifest_of(files)
    change(manifest)
    with pytest.raises(ValueError, match=sentence):
        load(raw(tmp_path / path, files, readable(manifest)))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["chip.json", "image.npz", "loss.json"])
def test_a_changed_byte_is_noticed(tmp_path, path, name):
    files = {**image_files(tiny()), "loss.json": b"{}"}
    manifest = archive._manifest(files)
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    with pytest.raises(ValueError, match=f"{name} has the SHA-256 .* it was changed, export it"):
        load(raw(tmp_path / path, files, manifest))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("more", [1, -1])
def test_a_changed_length_is_noticed(tmp_path, path, more):
    files = image_files(tiny())
    manifest = archive._manifest(files)
    files["chip.json"] = files["chip.json"] + b" " if more > 0 else files["chip.json"][:-1]
    with pytest.raises(ValueError, match=r"chip\.json:? has \d+ bytes, (and manif|more than the)"):
        load(raw(tmp_path / path, files, manifest))


def test_there_are_limits_to_what_is_read_and_written(tmp_path, monkeypatch):
    files = image_files(tiny())
    huge = {"bytes": LARGEST_FILES, "sha256": ""}
    entries = {"a": huge, "b": huge}
    manifest = {"schema": 1, "files": entries, "digest": archive._whole_digest(entries)}
    with pytest.raises(ValueError, match=r"manifest\.json: lists more than 268435456 bytes in all"):
        load(raw(tmp_path / "folder", files, readable(manifest)))
    monkeypatch.setattr(archive, "LARGEST_FILES", 100)
    with pytest.raises(
        ValueError, match=r"3 files of \d+ bytes are too many; the limits are 16384"
    ):
        save(tiny(), tmp_path / "net.ranvier")


def test_a_missing_or_unlisted_file_is_noticed(tmp_path):
    files = image_files(tiny())
    manifest = archive._manifest(files)
    less = {"chip.json": files["chip.json"]}
    with pytest.raises(ValueError, match=r"manifest\.json lists a missing image\.npz"):
        load(raw(tmp_path / "less.ranvier", less, manifest))
    with pytest.raises(FileNotFoundError, match=r"less/image\.npz: cannot be read: No such file"):
        load(raw(tmp_path / "less", less, manifest))
    with pytest.raises(ValueError, match=r"manifest\.json lists no x\.txt"):
        load(raw(tmp_path / "more.ranvier", {**files, "x.txt": b""}, manifest))


def test_what_is_no_export_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.ranvier").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.ranvier", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(FileNotFoundError, match=r"none\.ranvier: cannot be read: No such file or"):
        load(tmp_path / "none.ranvier")
    with pytest.raises(FileNotFoundError, match=r"empty: has no manifest\.json, so it is not"):
        load(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"text\.ranvier: does not end like one of our zip files"):
        load(tmp_path / "text.ranvier")
    with pytest.raises(ValueError, match=r"other\.ranvier: has no manifest\.json, so it is not"):
        load(tmp_path / "other.ranvier")


@pytest.mark.parametrize("name", ["manifest.json", "chip.json"])
def test_links_and_pipes_in_a_folder_are_refused(tmp_path, name):
    for kind in ("link", "pipe", "folder"):
        save(tiny(), tmp_path / kind)
        place = tmp_path / kind / name
        place.rename(tmp_path / f"{kind}.aside")
        if kind == "link":
            place.symlink_to(tmp_path / "link.aside")
        elif kind == "pipe":
            os.mkfifo(place)
        else:
            place.mkdir()
        with pytest.raises(ValueError, match=f"{kind}/{name}: is not a plain file; replace it"):
            load(tmp_path / kind)


def hostile(path, entries) -> Path:
    """Write a zip file of (ZipInfo or name, bytes), as given."""
    with zipfile.ZipFile(path, "w") as file:
        for info, data in entries:
            file.writestr(info, data)
    return path


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "a\\b", "x\0y", ".", "..", ".x", "-x", "é"])
def test_a_name_in_a_zip_file_is_no_path(tmp_path, name):
    info = zipfile.ZipInfo("x")
    info.filename = name
    with pytest.raises(ValueError, match=r"net\.ranvier: a file may not be called "):
        load(hostile(tmp_path / "net.ranvier", [(info, b"")]))
    assert {p.name for p in tmp_path.iterdir()} == {"net.ranvier"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_is_in_a_zip_file_once(tmp_path):
    for twin in ("chip.json", "CHIP.json"):
        with pytest.raises(ValueError, match="there are two files called "):
            load(hostile(tmp_path / "net.ranvier", [("chip.json", b"1"), (twin, b"2")]))


def test_other_compressions_and_encryption_are_refused(tmp_path):
    info = zipfile.ZipInfo("x")
    info.compress_type = zipfile.ZIP_BZIP2
    path = hostile(tmp_path / "net.ranvier", [(info, b"x")])
    with pytest.raises(ValueError, match="x has the unknown compression 12"):
        load(path)
    data = bytearray(hostile(path, [("x", b"x")]).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="x is encrypted"):
        load(path)


def refused_in_little_memory(path, sentence):
    tracemalloc.start()
    with pytest.raises(ValueError, match=sentence):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path):
    """64 MiB of zeros in 64 KiB."""
    info = zipfile.ZipInfo("x")
    info.compress_type = zipfile.ZIP_DEFLATED
    path = hostile(tmp_path / "net.ranvier", [(info, bytes(64 * 2**20))])
    assert path.stat().st_size < 70_000
    refused_in_little_memory(path, r"its files have 67108864 bytes, more than 200 for each of its")


def test_a_zip_file_that_lies_about_its_sizes_is_refused(tmp_path):
    info = zipfile.ZipInfo("x")
    info.compress_type = zipfile.ZIP_DEFLATED
    path = hostile(tmp_path / "net.ranvier", [(info, bytes(64 * 2**20))])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    refused_in_little_memory(path, "Bad CRC-32 for file 'x'")
    data[at : at + 4] = struct.pack("<I", LARGEST_FILES + 1)
    path.write_bytes(data)
    refused_in_little_memory(path, "its files have 268435457 bytes, and the limit is 268435456")
    path = hostile(path, [(info, b"four")])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + 24
    data[at] = 5
    path.write_bytes(data)
    refused_in_little_memory(path, "x has 4 bytes and not 5")


def test_a_zip_file_of_too_many_files_is_refused_before_they_are_listed(tmp_path):
    path = hostile(tmp_path / "net.ranvier", [("x", b"")])
    data = bytearray(path.read_bytes())
    data[-12:-10] = struct.pack("<H", 20_000)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="lists 20000 files, and the limit is 16384"):
        load(path)


def test_zip_files_with_a_comment_or_64_bit_sizes_are_not_ours(tmp_path):
    path = hostile(tmp_path / "net.ranvier", [("x", b"")])
    data = path.read_bytes()
    for end in (b"\2\0hi", b"\2\0"):
        path.write_bytes(data[:-2] + end)
        with pytest.raises(ValueError, match="does not end like one of our zip files"):
            load(path)
    path.write_bytes(data[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + data[-22:])
    with pytest.raises(ValueError, match="does not end like one of our zip files"):
        load(path)


def loaded_or_refused(path) -> tuple[Image | None, str]:
    try:
        return load(path), ""
    except ValueError as error:
        return None, str(error)


def test_a_file_cut_anywhere_or_with_a_wrong_byte_gives_one_sentence(tmp_path):
    """400 damaged files: each loads as it was or is refused in one short line."""
    path = tmp_path / "net.ranvier"
    save(tiny(), path)
    whole, want = path.read_bytes(), digest(tiny())
    rng = random.Random(0)
    refused = 0
    for n in range(400):
        data = bytearray(whole)
        if n % 4:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        found, sentence = loaded_or_refused(path)
        if found is not None:
            assert digest(found) == want
            continue
        refused += 1
        assert sentence.startswith(f"{path}: ")
        assert "\n" not in sentence
        assert len(sentence) < len(str(path)) + 400
    assert refused > 350


# Written whole or not at all


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def snapshot(folder: Path) -> dict:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    ("path", "failing"),
    [
        ("net.ranvier", "os.fsync"),
        ("net.ranvier", "pathlib.Path.replace"),
        ("folder", "os.fsync"),
        ("folder", "pathlib.Path.rename"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path, path, there, failing, monkeypatch):
    if there:
        save(tiny(), tmp_path / path)
    before = snapshot(tmp_path)
    monkeypatch.setattr(failing, no_space)
    with pytest.raises(OSError, match=f"{path}: cannot be written: No space left on device; choo"):
        save(tiny(steps=21), tmp_path / path)
    monkeypatch.undo()
    assert snapshot(tmp_path) == before


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    save(tiny(), tmp_path / "folder")
    before = snapshot(tmp_path)
    rename = Path.rename

    def second(self, target):
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second)
    with pytest.raises(KeyboardInterrupt):
        save(tiny(steps=21), tmp_path / "folder")
    monkeypatch.undo()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("path", PATHS)
def test_an_earlier_export_is_replaced(tmp_path, path):
    save(tiny(), tmp_path / path, extras={"old.txt": b"old"})
    save(tiny(steps=21), tmp_path / path)
    assert load(tmp_path / path).steps == 21
    assert names(tmp_path / path) == ("chip.json", "image.npz")
    assert {p.name for p in tmp_path.iterdir()} == {path}


def test_an_empty_folder_is_used_and_keeps_its_permissions(tmp_path):
    (tmp_path / "folder").mkdir(mode=0o700)
    save(tiny(), tmp_path / "folder")
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_other_folders_and_files_are_never_replaced(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match=r"mine: is a folder with other files \(no manifest"):
        save(tiny(), mine)
    save(tiny(), tmp_path / "net")
    (tmp_path / "net" / "notes.txt").write_text("hours")
    with pytest.raises(FileExistsError, match=r"net: 'notes\.txt' is not part of the export there"):
        save(tiny(), tmp_path / "net")
    (tmp_path / "net" / "manifest.json").write_text("{}")
    with pytest.raises(
        FileExistsError, match=r"net: has a manifest\.json that is not ours or dama"
    ):
        save(tiny(), tmp_path / "net")
    with pytest.raises(NotADirectoryError, match=r"thesis\.txt: is a file; choose a folder, or a"):
        save(tiny(), mine / "thesis.txt")
    (tmp_path / "f.ranvier").mkdir()
    with pytest.raises(IsADirectoryError, match=r"f\.ranvier: is a folder; remove it or choose"):
        save(tiny(), tmp_path / "f.ranvier")
    assert (mine / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("path", PATHS)
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written: No such file or directory; choose a fol"):
        save(tiny(), tmp_path / "none" / path)
    with pytest.raises(OSError, match="cannot be written: Not a directory; choose a folder"):
        save(tiny(), tmp_path / "file" / path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("path", PATHS)
def test_a_folder_without_permission_is_one_sentence(tmp_path, path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written: Permission denied; choose a fol"):
        save(tiny(), tmp_path / path)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("extras", "sentence"),
    [
        ({"image.npz": b""}, r"image\.npz holds the image; call the extra file something else"),
        ({"manifest.json": b""}, r"there would be two files called manifest\.json; rename one"),
        ({"Chip.JSON": b""}, r"there would be two files called .*; rename one"),
        ({"a/b": b""}, "a file may not be called 'a/b'"),
        ({"../b": b""}, r"a file may not be called '\.\./b'"),
        ({"x" * 101: b""}, "a file may not be called"),
    ],
)
def test_extras_have_plain_names_of_their_own(tmp_path, extras, sentence):
    with pytest.raises(ValueError, match=sentence):
        save(tiny(), tmp_path / "net", extras=extras)
    assert not list(tmp_path.iterdir())


# Export


def test_an_export_has_every_file_and_loads_again(tmp_path):
    export(
        tiny(), tmp_path / "out", verilog="module chip; endmodule\n", extras={"loss.json": b"{}"}
    )
    assert names(tmp_path / "out") == (
        "axonal_delays.mem",
        "chip.json",
        "chip.v",
        "dendritic_delays.mem",
        "image.npz",
        "loss.json",
        "neurons.mem",
        "populations.mem",
        "projections.mem",
        "ranvier_image.h",
        "registers.md",
        "synaptic_delays.mem",
        "weights.mem",
    )
    same(load(tmp_path / "out"), tiny())
    export(tiny(), tmp_path / "out", verilog=None)
    assert "chip.v" not in names(tmp_path / "out")
    with pytest.raises(ValueError, match=r"weights\.mem is part of the export; call the extra"):
        export(tiny(), tmp_path / "out", verilog=None, extras={"weights.mem": b""})


def loaded_memories(image):
    return [m for m in memories(image.chip) if not m.state]


def test_memory_files_hold_the_contents(tmp_path):
    image = tiny()
    export(image, tmp_path / "out", verilog=None)
    for memory in loaded_memories(image):
        text = (tmp_path / "out" / f"{memory.name}.mem").read_text()
        assert (load_mem(text, memory) == contents(image)[memory.name]).all()


def test_a_damaged_memory_file_is_refused(tmp_path):
    export(tiny(), tmp_path / "out", verilog=None)
    path = tmp_path / "out" / "weights.mem"
    text = path.read_text()
    path.write_text(text[:-2] + ("1" if text[-2] == "0" else "0") + "\n")
    with pytest.raises(ValueError, match=r"weights\.mem has the SHA-256 .* it was changed"):
        load(tmp_path / "out")


def test_a_memory_file_by_hand():
    """Two lanes of 3 + 2 bits: the worked word of 10 bits is three digits."""
    memory = Memory(
        "m", 4, 2, (Field("a", Format(3)), Field("b", Format(2, 1, signed=False))), False
    )
    beats = words(memory, [np.array([[-1, 3], [0, 0]]), np.array([[2, 1], [0, 0]])])
    assert mem(memory, beats).splitlines() == [
        "// m: 4 words of 10 bits, the first 2 in use",
        "// bits 2:0: a (signed, 3 bits)",
        "// bits 4:3: b (unsigned, 2 bits, 1 after the point)",
        "// of lane 0; lane n begins at bit 5 * n, n up to 1",
        "@0",
        "177",  # 01 011 10 111
        "000",
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 48), st.integers(0, 9), st.integers(0, 2**32))
def test_any_memory_comes_back_from_its_file(lanes, width, count, seed):
    memory = Memory("m", 9, lanes, (Field("a", Format(width, signed=False)),), False)
    column = np.random.default_rng(seed).integers(0, 2**width, (count, lanes))
    beats = words(memory, [column])
    again = load_mem(mem(memory, beats), memory)
    assert again.dtype == np.uint32
    assert again.shape == beats.shape
    assert (again == beats).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("@0\n12", "m.mem line 2: '12' is not a word of 3 hexadecimal digits"),
        ("0x1", "m.mem line 1: '0x1' is not a word of 3 hexadecimal digits"),
        ("// hi\n\n1 2", "m.mem line 3: '1 2' is not a word"),
        ("000\n@0", "m.mem line 2: '@0' is not a word"),
        ("@1", "m.mem line 1: '@1' is not a word"),
        ("400", "m.mem line 1: 400 does not fit 10 bits"),
        ("000\n" * 5, "m.mem line 5: the memory has 4 words and no more"),
    ],
)
def test_a_memory_file_is_taken_strictly(text, sentence):
    memory = Memory("m", 4, 1, (Field("a", Format(10)),), False)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_mem(text, memory)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_a_verilog_simulator_reads_the_memory_files_without_a_warning(tmp_path):
    image = tiny()
    export(image, tmp_path / "out", verilog=None)
    lines, want = [], []
    for memory in loaded_memories(image):
        name = memory.name
        used = contents(image)[name]
        lines.append(f"reg [{memory.width - 1}:0] {name} [0:{memory.words - 1}];")
        lines.append(f'initial begin $readmemh("out/{name}.mem", {name});')
        for n, word in enumerate(used.tolist()):
            lines.append(f'$display("%h", {name}[{n}]);')
            value = sum(beat << (32 * place) for place, beat in enumerate(word))
            want.append(f"{value:0{-(-memory.width // 4)}x}")
        lines.append("end")
    (tmp_path / "t.v").write_text("module t;\n" + "\n".join(lines) + "\nendmodule\n")
    build = ["iverilog", "-g2005", "-o", "t", "t.v"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    run = subprocess.run(["vvp", "t"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.split() == want
    assert run.stderr == ""


WIDE = replace(TINY.readout, score=Format(30))

C_MAIN = """\
#include <inttypes.h>
#include <stdio.h>
#include "ranvier_image.h"
#include "ranvier_image.h"

int main(void)
{
    for (uint32_t r = 0; r < RANVIER_RUNS; r++) {
        const struct ranvier_run *run = &ranvier_runs[r];
        for (uint32_t w = 0; w < run->words; w++)
            for (uint32_t b = 0; b < run->beats; b++)
                printf("%" PRIu32 " %" PRIu32 "\\n", run->address + w * run->stride + b,
                       run->data[w * run->beats + b]);
    }
    printf("%" PRIu64 " %u %u\\n", RANVIER_NEURONS_COEFFICIENT_MASK,
           RANVIER_NEURONS_COEFFICIENT_SHIFT, RANVIER_COMMAND_CLEAR);
    return 0;
}
"""


def bus_writes(image) -> list[str]:
    """List address and data of every beat of `image`, from the memory map alone."""
    base = addresses(image.chip)
    found = [
        f"{base['control'] + n} {controls(image)[field.name]}"
        for n, field in enumerate(control(image.chip))
    ]
    for memory in loaded_memories(image):
        for n, word in enumerate(contents(image)[memory.name].tolist()):
            at = base[memory.name] + n * memory.stride
            found += [f"{at + b} {beat}" for b, beat in enumerate(word)]
    return found


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("image", "shift"),
    [
        (tiny(), 20),  # 12 bits of threshold and 8 of bias come first
        (tiny(projections=()), 20),
        # Two lanes of 24 + 8 + 7 bits are 3 beats, 4 addresses apart.
        (tiny(chip=replace(TINY, lif=replace(TINY.lif, v=Format(24)), readout=WIDE)), 32),
    ],
)
def test_the_c_header_compiles_strictly_and_writes_every_beat(tmp_path, image, shift):
    export(image, tmp_path / "out", verilog=None)
    (tmp_path / "main.c").write_text(C_MAIN)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    build = ["gcc", *flags, "-Iout", "main.c", "-o", "main"]
    subprocess.run(build, cwd=tmp_path, check=True)
    run = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True)
    *writes, last = run.stdout.splitlines()
    assert writes == bus_writes(image)
    assert last == f"127 {shift} 2"


def test_a_c_header_needs_addresses_of_32_bits(tmp_path):
    """1024 lanes of 5 bits are 160 beats, 256 addresses; 2**24 words of them are 2**32."""
    huge = replace(TINY, lanes=1024, channels=1024, neurons=2048, synapses=2**24)
    with pytest.raises(ValueError, match=r"the chip has \d+ bus addresses, and a C header of 32"):
        export(tiny(chip=huge), tmp_path / "out", verilog=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_every_field_has_a_meaning(chip):
    owners = {m.name: m.fields for m in memories(chip) if not m.state}
    owners |= {"control": control(chip), "i": ports.command(chip), "o": ports.result(chip)}
    owners |= {"host": ports.host(chip), "probe": ports.probe(chip)}
    for owner, fields in owners.items():
        for field in fields:
            assert MEANING[meaning_key(owner, field)]


def test_the_register_map_says_where_everything_is(tmp_path):
    export(tiny(), tmp_path / "out", verilog=None)
    text = (tmp_path / "out" / "registers.md").read_text()
    for row in (
        "| 0x0 | `populations` | 2:0 | 2 | populations in use |",
        "| 0x1 | `channel_blocks` | 2:0 | 3 | blocks of `lanes` input channels in use |",
        "| `neurons` | 0x10 | 0x1f | 8 | 5 | 54 | 2 | 2 |",
        "| 26:20 | `coefficient` | unsigned, 7 bits, 6 after the point | of the leak |",
        "The bits are those of lane 0; lane `n` of 2 begins at bit 27 `n`.",
        "| 7:5 | `count` | unsigned, 3 bits | events on it |",
        "| 0 | EVENT | `count` events on `channel` in the coming tick |",
        "| 0 | SPIKE | neuron `index` fired |",
        "| 25:6 | `value` | signed, 20 bits | membrane of a READOUT, score of the winner at END |",
        "| `accumulators_1` | 64 | 16 |",
        "| 0x203 | 0x80c | `room` | commands that COMMAND takes before it refuses one |",
    ):
        assert row in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns <= {4, 5, 6, 9}
