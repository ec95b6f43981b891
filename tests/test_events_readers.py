"""Files of events: every known form is read, every bad one is refused in one sentence."""

import io
import re
import struct
import zipfile

import h5py
import numpy as np
import pytest

import events.recordings
from events import DIGITS, UNLABELLED, Counts, Recordings, load, save

TRAINS = [([0.0, 0.0005, 0.25], [3, 699, 0]), ([], []), ([0.125], [42])]


def published(path, dtype="f2", **changes):
    """Write an SHD file as published; `changes` replace or (None) remove datasets."""
    rows = {
        "spikes/times": [np.array(t, dtype) for t, _ in TRAINS],
        "spikes/units": [np.array(u, "u2") for _, u in TRAINS],
    }
    fields = rows | {
        "labels": np.array([1, 19, 10], "u2"),
        "extra/speaker": np.array([4, 5, 4], "u2"),
        "extra/keys": np.array([d.encode() for d in DIGITS]),
    }
    fields |= {name.replace("__", "/"): value for name, value in changes.items()}
    with h5py.File(path, "w") as file:
        for name, value in fields.items():
            if isinstance(value, list):
                base = value[0].dtype
                data = file.create_dataset(name, (len(value),), h5py.vlen_dtype(base))
                for n, row in enumerate(value):
                    data[n] = row
            elif value is not None:
                file[name] = value
    return path


def plain(path, **changes):
    fields = {
        "times_ms": np.array([0, 7, 2, 3], np.uint16),
        "units": np.array([0, 5, 1, 1], np.uint8),
        "offsets": np.array([0, 2, 4]),
        "labels": np.array([1, 0]),
        "n_units": np.array(6),
    } | changes
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})
    return path


def refusal(path, **options):
    """Return the one sentence with which a file is refused, without its name."""
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .+$") as error:
        load(path, **options)
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_shd_is_read_as_published(tmp_path, dtype):
    data = load(published(tmp_path / "shd.h5", dtype))
    assert isinstance(data, Recordings)
    half_ms = float(np.array(0.0005, dtype).astype("f8") * 1000)
    assert data.times_ms.tolist() == [0.0, np.float32(half_ms), 250.0, 125.0]
    assert data.units.tolist() == [3, 699, 0, 42]
    assert data.offsets.tolist() == [0, 3, 3, 4]
    assert data.labels.tolist() == [1, 19, 10]
    assert data.speakers.tolist() == [4, 5, 4]
    assert (data.n_units, data.label_names, data.source) == (700, DIGITS, "shd.h5")
    assert [data.label_names[n] for n in data.labels] == ["one", "neun", "null"]


def test_half_precision_seconds_do_not_overflow_in_ms(tmp_path):
    rows = [np.array([100.0], "f2"), np.array([], "f2"), np.array([65504.0], "f2")]
    units = [np.array([1], "u2"), np.array([], "u2"), np.array([1], "u2")]
    path = published(tmp_path / "long.h5", spikes__times=rows, spikes__units=units)
    assert load(path).times_ms.tolist() == [100_000.0, 65_504_000.0]


def test_ssc_has_neither_speakers_nor_names(tmp_path):
    data = load(published(tmp_path / "ssc.h5", extra__speaker=None, extra__keys=None))
    assert (data.speakers, data.label_names) == (None, ())


def rows_of(*rows, dtype="f8"):
    return [np.array(row, dtype) for row in rows]


BAD_HDF5 = {
    "has no dataset 'labels', which SHD and SSC files have": {"labels": None},
    "has no dataset 'spikes/times', which SHD": {"spikes__times": None},
    "has 2 rows of spikes/times, 3 of spikes/units and 3 labels": {
        "spikes__times": rows_of([0.0], [])
    },
    "has 3 rows of spikes/times, 3 of spikes/units and 2 labels": {"labels": np.array([1, 2])},
    "recording 0 has 1 spikes/times but 3 spikes/units": {
        "spikes__times": rows_of([0.0], [], [0.1])
    },
    "times_ms[1] = nan in recording 0 must be between 0": {
        "spikes__times": rows_of([0, np.nan, 1], [], [0.1])
    },
    "times_ms[0] = -100.0 in recording 0 must be between 0": {
        "spikes__times": rows_of([-0.1, 0, 1], [], [0.1])
    },
    "times_ms[2] = inf in recording 0 must be between 0": {
        "spikes__times": rows_of([0, 0, 1e300], [], [0.1])
    },
    "times_ms[2] = 125.0 in recording 0 comes after 250.0; sort the events": {
        "spikes__times": rows_of([0, 0.25, 0.125], [], [0.1])
    },
    "units[1] = 700 in recording 0 must be between 0 and 699": {
        "spikes__units": rows_of([0, 700, 1], [], [1], dtype="u2")
    },
    "units[3] = -1 in recording 2 must be between 0 and 699": {
        "spikes__units": rows_of([0, 1, 1], [], [-1], dtype="i2")
    },
    "labels[2] = 20 must be between -1 and 19": {"labels": np.array([0, 1, 20])},
    "labels must be one row of integers, not float64": {"labels": np.zeros(3)},
    "spikes/times must hold rows of varying length of kind f, not float64": {
        "spikes__times": np.zeros(3)
    },
    "spikes/units must hold rows of varying length of kind i or u, not float32": {
        "spikes__units": rows_of([0, 1, 1], [], [1], dtype="f4")
    },
    "spikes/times must be a dataset of 1 dimension": {"spikes__times": np.zeros((3, 2))},
    "speakers has 2 entries for 3 recordings": {"extra__speaker": np.array([1, 2])},
}


@pytest.mark.parametrize("sentence", BAD_HDF5)
def test_bad_hdf5_is_refused(tmp_path, sentence):
    path = published(tmp_path / "bad.h5", "f8", **BAD_HDF5[sentence])
    assert refusal(path).startswith(sentence)


def test_unsorted_hdf5_is_sorted_on_demand(tmp_path):
    rows = rows_of([0, 0.25, 0.125], [], [0.1])
    path = published(tmp_path / "unsorted.h5", spikes__times=rows)
    data = load(path, sort=True)
    assert data.times_ms[:3].tolist() == [0, 125, 250]
    assert data.units[:3].tolist() == [3, 0, 699]


def test_hdf5_never_leads_to_another_file(tmp_path):
    published(tmp_path / "other.h5")
    for link in (h5py.ExternalLink("other.h5", "labels"), h5py.SoftLink("/extra/speaker")):
        path = published(tmp_path / "link.h5", labels=link)
        assert refusal(path) == "keeps labels behind a link, which is not followed"
    (tmp_path / "secret").write_bytes(bytes(24))
    path = published(tmp_path / "external.h5", labels=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("labels", (3,), "i8", external=[("secret", 0, 24)])
    assert refusal(path) == "keeps labels in another file, which is not followed"
    path = published(tmp_path / "virtual.h5", labels=None)
    with h5py.File(path, "a") as file:
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource("other.h5", "labels", (3,))
        file.create_virtual_dataset("labels", layout)
    assert refusal(path) == "keeps labels in another file, which is not followed"


def test_hdf5_cannot_claim_more_rows_than_it_has_bytes(tmp_path):
    path = published(tmp_path / "claim.h5", labels=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("labels", (10**12,), "u1", chunks=(1000,))
    assert refusal(path).startswith("labels claims 1000000000000 entries, more than the file has")


def test_hdf5_cannot_take_more_memory_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(events.recordings, "MAX_BYTES", 16)
    assert refusal(published(tmp_path / "big.h5", "f8")).startswith("spikes/times would take")


@pytest.mark.parametrize("keep", [8, 600, 3000])
def test_truncated_hdf5_is_refused(tmp_path, keep):
    path = published(tmp_path / "cut.h5")
    path.write_bytes(path.read_bytes()[:keep])
    assert refusal(path).startswith("cannot be read as HDF5 (")


def test_plain_events_are_read(tmp_path):
    data = load(plain(tmp_path / "plain.npz"))
    assert data.times_ms.tolist() == [0, 7, 2, 3]
    assert data.times_ms.dtype == np.float32
    assert data.units.dtype == np.uint16
    assert data.labels.tolist() == [1, 0]
    assert (data.n_units, data.label_names, data.speakers) == (6, (), None)
    assert data.source == "plain.npz"
    assert load(plain(tmp_path / "plain.npz", labels=None)).labels.tolist() == [UNLABELLED] * 2


def test_the_number_of_units_is_never_guessed(tmp_path):
    path = plain(tmp_path / "plain.npz", n_units=None)
    assert refusal(path) == "does not say how many units there are; pass n_units"
    assert load(path, n_units=8).n_units == 8
    assert refusal(path, n_units=5).startswith("units[1] = 5 in recording 0 must be between 0 and")
    path = plain(tmp_path / "plain.npz")
    assert refusal(path, n_units=7) == "has events of 6 units, not of 7"


BAD_PLAIN = {
    "times_ms[1] = nan in recording 0": {"times_ms": np.array([0, np.nan, 1, 2])},
    "times_ms[3] = 1.0 in recording 1 comes after 2.0": {"times_ms": np.array([0, 7, 2.0, 1.0])},
    "units[0] = -1 in recording 0": {"units": np.array([-1, 0, 0, 0])},
    "units[2] = 6 in recording 1": {"units": np.array([0, 0, 6, 0])},
    "offsets[1] = 5 must be between 0 and 4": {"offsets": np.array([0, 5, 4])},
    "offsets[2] = 2 must not be below offsets[1] = 3": {"offsets": np.array([0, 3, 2, 4])},
    "has no field 'offsets', but labels, n_units, times_ms, units": {"offsets": None},
    "labels has 3 entries for 2 recordings": {"labels": np.array([0, 1, 2])},
    "field 'labels' must have 1 dimensions and a dtype of kind i or u, not object of shape (2,)": {
        "labels": np.array([0, None])
    },
    "field 'units' must have 1 dimensions and a dtype of kind i or u, not float64": {
        "units": np.zeros(4)
    },
    "field 'times_ms' must have 1 dimensions and a dtype of kind i or u or f, not int64 of": {
        "times_ms": np.zeros((4, 1), int)
    },
    "labels[0] = 1 must be between -1 and 0": {"label_names": np.array(["only"])},
    "holds labels, n_units, offsets, units, which is no known form of events;": {"times_ms": None},
}


@pytest.mark.parametrize("sentence", BAD_PLAIN)
def test_bad_plain_events_are_refused(tmp_path, sentence):
    assert refusal(plain(tmp_path / "bad.npz", **BAD_PLAIN[sentence])).startswith(sentence)


def test_unsorted_plain_events_are_sorted_on_demand(tmp_path):
    path = plain(tmp_path / "plain.npz", times_ms=np.array([7, 0, 3, 3]))
    assert load(path, sort=True).times_ms.tolist() == [0, 7, 3, 3]
    assert load(path, sort=True).units.tolist() == [5, 0, 1, 1]


def test_sorting_keeps_the_order_of_simultaneous_events(tmp_path):
    times = np.tile([1, 0], 50)
    path = plain(
        tmp_path / "plain.npz",
        times_ms=times,
        units=np.arange(100),
        offsets=np.array([0, 100, 100]),
        n_units=np.array(100),
    )
    assert load(path, sort=True).units.tolist() == [*range(1, 100, 2), *range(0, 100, 2)]


def test_events_survive_a_file(tmp_path):
    before = load(published(tmp_path / "shd.h5"))
    save(before, tmp_path / "again.npz")
    after = load(tmp_path / "again.npz")
    for name in ("times_ms", "units", "offsets", "labels", "speakers"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert (after.n_units, after.label_names, after.source) == (700, DIGITS, "shd.h5")
    save(before, tmp_path / "third.npz")
    assert (tmp_path / "third.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "shd.h5", "third.npz"]


def counts_of(path):
    return load(published(path)).binned(units_per_channel=5, dt_ms=10, steps=20)


def test_counts_survive_a_file_with_their_parts(tmp_path):
    before = counts_of(tmp_path / "shd.h5")
    save(before, tmp_path / "counts.npz", test=np.array([False, True, False]))
    after = load(tmp_path / "counts.npz")
    assert isinstance(after, Counts)
    for name in Counts.__dataclass_fields__:
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert after.late.tolist() == [1, 0, 0]
    assert load(tmp_path / "counts.npz", part="train").labels.tolist() == [1, 10]
    assert load(tmp_path / "counts.npz", part="test").labels.tolist() == [19]
    assert refusal(tmp_path / "counts.npz", part="dev").startswith("part must be 'train' or 'test'")
    save(before, tmp_path / "whole.npz")
    assert refusal(tmp_path / "whole.npz", part="test").startswith("does not say which recordings")
    with pytest.raises(ValueError, match="events have no parts"):
        save(load(tmp_path / "shd.h5"), tmp_path / "x.npz", test=np.zeros(3, bool))


def test_counts_of_another_version_are_refused(tmp_path):
    np.savez(tmp_path / "new.npz", format=np.array("ranvier counts 2"))
    assert refusal(tmp_path / "new.npz") == (
        "has format 'ranvier counts 2', but only 'ranvier counts 1' can be read"
    )


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    data = load(plain(tmp_path / "plain.npz"))
    save(data, tmp_path / "kept.npz")
    before = (tmp_path / "kept.npz").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save(data, tmp_path / "kept.npz")
    assert (tmp_path / "kept.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def packed(path, **changes):
    """Two recordings: unit 1 at 255 and 260 ms, unit 0 at 300 ms; then unit 699 at 0 ms."""
    cnt = np.zeros((2, 700), np.uint8)
    cnt[0, :2], cnt[1, 699] = (1, 2), 1
    isi = np.array([255, 45, 255, 0, 5, 0], np.uint8)
    fields = {"isi": isi, "cnt": cnt, "label": np.array([3, 19]), "speaker": np.array([0, 11])}
    np.savez(path, **(fields | changes))
    return path


def test_packed_intervals_become_events_in_time_order(tmp_path):
    data = load(packed(tmp_path / "packed.npz"))
    assert data.times_ms.tolist() == [255, 260, 300, 0]
    assert data.units.tolist() == [1, 1, 0, 699]
    assert data.offsets.tolist() == [0, 3, 4]
    assert data.labels.tolist() == [3, 19]
    assert data.speakers.tolist() == [0, 11]
    assert (data.n_units, data.label_names) == (700, DIGITS)


BAD_PACKED = {
    "isi holds 3 complete intervals, but cnt counts 4": {"isi": np.array([1, 2, 3], np.uint8)},
    "isi holds 4 complete intervals, but cnt counts 4": {
        "isi": np.array([1, 2, 3, 4, 255], np.uint8)
    },
    "isi adds up to 76500 ms within one recording": {
        "isi": np.array([1, 1, 1] + [255] * 300 + [0], np.uint8)
    },
    "isi must be uint8 and cnt uint8 of 700 columns, not uint8 and uint8 of shape (2, 5)": {
        "cnt": np.zeros((2, 5), np.uint8)
    },
    "labels[0] = 20 must be between -1 and 19": {"label": np.array([20, 0])},
    "labels has 1 entries for 2 recordings": {"label": np.array([1])},
}


@pytest.mark.parametrize("sentence", BAD_PACKED)
def test_bad_packed_intervals_are_refused(tmp_path, sentence):
    assert refusal(packed(tmp_path / "bad.npz", **BAD_PACKED[sentence])).startswith(sentence)


def rows(prefix="", **changes):
    x = np.zeros((3, 140), np.uint8)
    x[0, 1], x[2, 139] = 9, 7
    fields = {"x": x.ravel(), "steps": [1, 2], "label": [2, 3], "speaker": [4, 5]} | changes
    return {prefix + name: np.array(value) for name, value in fields.items()}


def test_packed_counts_are_padded_with_silence(tmp_path):
    np.savez(tmp_path / "x.npz", **rows())
    data = load(tmp_path / "x.npz")
    want = np.zeros((2, 2, 140), np.uint8)
    want[0, 0, 1], want[1, 1, 139] = 9, 7
    assert np.array_equal(data.counts, want)
    assert (data.dt_ms, data.units_per_channel, data.n_units) == (10.0, 5, 700)
    assert (data.labels.tolist(), data.speakers.tolist()) == ([2, 3], [4, 5])


def test_packed_counts_may_hold_both_parts(tmp_path):
    longer = rows("test_", x=np.ones(5 * 140, np.uint8), steps=[5], label=[7], speaker=[1])
    np.savez(tmp_path / "mini.npz", **rows("train_"), **longer)
    assert load(tmp_path / "mini.npz").labels.tolist() == [2, 3, 7]
    train = load(tmp_path / "mini.npz", part="train")
    test = load(tmp_path / "mini.npz", part="test")
    assert (len(train), train.steps, len(test), test.steps) == (2, 5, 1, 5)
    assert test.counts.sum() == 5 * 140


def test_bad_packed_counts_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", **rows(steps=[1, 3]))
    assert refusal(tmp_path / "x.npz").startswith("x must be 560 uint8, 140 for each of steps, not")
    np.savez(tmp_path / "x.npz", **rows(steps=[0, 3]))
    assert refusal(tmp_path / "x.npz") == "steps[0] = 0 must be between 1 and 1048576"


def test_unknown_files_are_refused(tmp_path):
    path = tmp_path / "any.npz"
    path.write_bytes(b"\x1f\x8b\x08 and so on")
    assert refusal(path) == "is compressed with gzip; unpack it with gunzip first"
    for content in (b"", b"RIFF1234WAVE", b"\x89HDF"):
        path.write_bytes(content)
        assert refusal(path) == "is neither an HDF5 nor an npz file"
    np.savez(path)
    assert refusal(path).startswith("holds nothing, which is no known form of events")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.npz")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.98])
def test_truncated_npz_is_refused(tmp_path, part):
    path = plain(tmp_path / "cut.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert refusal(path) == "is not a complete npz file; copy it again from where it came"


def test_a_flipped_byte_is_refused(tmp_path):
    path = plain(tmp_path / "flip.npz", times_ms=np.arange(4, dtype=np.uint64) + 2**40)
    whole = bytearray(path.read_bytes())
    whole[whole.index(struct.pack("<Q", 2**40))] ^= 1
    path.write_bytes(whole)
    assert refusal(path).startswith("field 'times_ms' is damaged (Bad CRC-32")


def forged(path, header, body=b"", packing=zipfile.ZIP_STORED):
    """Replace `times_ms` by an array whose header is `header`."""
    member = io.BytesIO()
    member.write(b"\x93NUMPY\x01\x00")
    text = header.encode().ljust(117) + b"\n"
    member.write(struct.pack("<H", len(text)) + text + body)
    plain(path, times_ms=None)
    with zipfile.ZipFile(path, "a", packing) as file:
        file.writestr("times_ms.npy", member.getvalue())
    return path


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    claim = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,)}"
    path = forged(tmp_path / "claim.npz", claim % 10**15, bytes(32))
    assert refusal(path) == (
        "field 'times_ms' claims 8000000000000000 bytes, but the file holds 32"
    )
    path = forged(tmp_path / "objects.npz", claim.replace("<f8", "|O") % 4, bytes(32))
    assert refusal(path).endswith("not object of shape (4,)")
    path = forged(tmp_path / "code.npz", "__import__('os').abort()")
    assert refusal(path) == "field 'times_ms' is not an array in npy format 1 or 2"
    path = forged(tmp_path / "negative.npz", claim % -4, bytes(32))
    assert "claims -32 bytes" in refusal(path)


def test_a_zip_bomb_is_refused_unopened(tmp_path, monkeypatch):
    claim = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,)}"
    bomb = bytes(10**6)
    path = forged(tmp_path / "bomb.npz", claim % len(bomb), bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 5000
    monkeypatch.setattr(events.recordings, "MAX_BYTES", 10**5)
    assert refusal(path).startswith("this file would take 0.000931 GiB, more than the limit of")


def test_an_encrypted_npz_is_refused(tmp_path):
    path = plain(tmp_path / "locked.npz")
    whole = bytearray(path.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        at = -1
        while (at := whole.find(start, at + 1)) >= 0:
            whole[at + (6 if start[2] == 3 else 8)] |= 1
    path.write_bytes(whole)
    assert "is damaged (File" in refusal(path)
