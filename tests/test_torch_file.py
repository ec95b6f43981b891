"""Files of torch.save read without torch: what torch writes, and what nobody should."""

import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from model.importers.torch_file import is_torch, read_torch
from model.importers.torch_parts import batch_norm, read_parts
from model.importers.torch_pickle import Stub
from model.importers.verdict import Unsupported
from tests.torch_writer import Call, Module, Tensor, write_torch

GRID = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1"])
def test_numbers_of_every_type_and_byte_order(tmp_path, order, dtype):
    path = write_torch(tmp_path / "a.pt", {"w": GRID.astype(dtype), "n": 3}, order)
    content = read_torch(path)
    assert content["n"] == 3
    assert content["w"].dtype == dtype
    assert content["w"].tolist() == GRID.tolist()
    assert not content["w"].flags.writeable


def test_steps_offsets_and_shared_storages(tmp_path):
    turned, inner = GRID.T, Tensor(GRID.reshape(-1), 5, (2, 2), (4, 1))
    path = write_torch(tmp_path / "a.pt", {"t": turned, "i": inner, "s": np.float32([7])[0:1]})
    content = read_torch(path)
    assert content["t"].tolist() == GRID.T.tolist()
    assert content["i"].tolist() == [[5, 6], [9, 10]]


def test_bfloat16_is_the_upper_half_of_a_float(tmp_path):
    half = (np.float32([1.5, -2.0]).view(np.uint32) >> 16).astype(np.int16)
    view = Tensor(half, 0, (2,), (1,), kind="torch.BFloat16Storage")
    assert read_torch(write_torch(tmp_path / "a.pt", {"w": view}))["w"].tolist() == [1.5, -2.0]


def test_a_class_is_a_bag_of_names_and_nothing_is_imported(tmp_path):
    net = Module(
        "nowhere.to.be.found.Net", {"w": GRID}, attributes={"device": Call("torch.device")}
    )
    content = read_torch(write_torch(tmp_path / "a.pt", net))
    assert isinstance(content, Stub)
    assert content.kind == "nowhere.to.be.found.Net"
    assert content.state["_parameters"]["w"].tolist() == GRID.tolist()
    assert content.state["device"].kind == "torch.device"


def test_shapes_can_be_seen_without_reading_numbers(tmp_path):
    content = read_torch(write_torch(tmp_path / "a.pt", {"w": GRID}), values=False)
    assert content["w"].shape == (3, 4)


def test_torch_itself_agrees(tmp_path):
    torch = pytest.importorskip("torch")
    kept = {
        "w": torch.arange(6.0).reshape(2, 3).T,
        "h": torch.tensor([1.5], dtype=torch.bfloat16),
        "b": torch.tensor([True, False]),
        "u": torch.tensor([65535], dtype=torch.uint16),
        "p": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
    }
    torch.save({"net": kept, "acc": 0.5, "epoch": 3}, tmp_path / "a.pt")
    content = read_torch(tmp_path / "a.pt")
    assert content["acc"] == 0.5
    for name, tensor in kept.items():
        assert content["net"][name].tolist() == tensor.tolist(), name
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).eval()
    torch.save(net, tmp_path / "b.pt")
    linear, norm = read_parts(tmp_path / "b.pt")
    assert (linear.name, linear.kind) == ("0", "torch.nn.modules.linear.Linear")
    assert linear.tensors["weight"].tolist() == net[0].weight.tolist()
    scale, shift = batch_norm(norm, 2)
    x = torch.tensor([[0.5, -3.0]])
    assert net[1](x)[0].tolist() == pytest.approx(scale * x[0].numpy() + shift)


def test_a_batch_norm_by_hand(tmp_path):
    norm = {"weight": [2.0], "bias": [0.25], "running_mean": [3.0], "running_var": [4 - 1e-5]}
    path = write_torch(tmp_path / "a.pt", {f"bn.{k}": np.array(v) for k, v in norm.items()})
    scale, shift = batch_norm(read_parts(path)[0], 1)
    # 2 / sqrt(4) = 1, and 0.25 - 3 x 1.
    assert (scale[0], shift[0]) == (pytest.approx(1), pytest.approx(-2.75))
    (half,) = read_parts(write_torch(tmp_path / "b.pt", {"bn.running_mean": np.ones(1)}))
    with pytest.raises(Unsupported, match="has no running_var"):
        batch_norm(half, 1)


@pytest.mark.parametrize("wrapper", ["net", "model", "state_dict", "model_state_dict"])
def test_checkpoints_and_parallel_networks_are_unwrapped(tmp_path, wrapper):
    content = {"epoch": 3, wrapper: {"module.fc.weight": GRID, "module.fc.bias": GRID[0]}}
    (part,) = read_parts(write_torch(tmp_path / "a.pt", content))
    assert part.name == "fc"
    assert sorted(part.tensors) == ["bias", "weight"]


def test_modules_come_in_the_order_of_their_making(tmp_path):
    leaf = {n: Module(f"torch.nn.{n}", {"weight": GRID}) for n in "ab"}
    net = Module("Net.Net", {}, {"inner": Module("x.Sequential", {}, leaf), "z": leaf["a"]})
    names = [part.name for part in read_parts(write_torch(tmp_path / "a.pt", net))]
    assert names == ["inner.a", "inner.b", "z"]


# What nobody should write.


def refused(path, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        read_parts(Path(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole = write_torch(tmp_path / "a.pt", {"fc.weight": GRID}).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        refused(tmp_path / "cut.pt", "is no complete file of torch.save")


def test_every_changed_byte_of_the_pickle_gives_a_sentence_or_a_network(tmp_path):
    pickle = write_torch(tmp_path / "a.pt", {"fc.weight": GRID, "x": (1, [2.5])})
    with zipfile.ZipFile(pickle) as file:
        program = file.read("archive/data.pkl")
    rng = np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(program)
        broken[rng.integers(2, len(program))] = rng.integers(256)
        path = write_torch(
            tmp_path / "b.pt", bytes(broken), more=[("archive/data/0", GRID.tobytes())]
        )
        with suppress(ValueError):
            read_parts(path)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00evilt R.", "its pickle is damaged"),
        (b"\x80\x02.", "its pickle ends in the middle"),
        (b"\x80\x02}q\x00(X\x01\x00\x00\x00ah\x07u.", "its pickle ends in the middle"),
        (b"\x80\x02(((((", "its pickle is damaged"),
        (b"\x80\x02ibuiltins\neval\n.", "uses INST, which torch.save does not write"),
        (b"\x80\x02]h\x00a.", "its pickle ends in the middle"),
        (b"\x80\x02}()K\x01u.", "its pickle ends in the middle"),
        (b"\x80\x02\x8d" + b"\xff" * 8 + b".", "its pickle is damaged"),
        (b"\x80\x02K\x01.", "holds neither a state dict nor a module"),
        (b"\x80\x02\x82\x01.", "uses EXT1"),
    ],
)
def test_hostile_pickles_are_refused(tmp_path, program, sentence):
    refused(write_torch(tmp_path / "a.pt", program), sentence)


def test_a_call_is_a_bag_and_never_made(tmp_path):
    bomb = Call("os.system", (f"touch {tmp_path}/pwned",))
    path = write_torch(tmp_path / "a.pt", {"fc.weight": GRID, "evil": bomb})
    assert [part.name for part in read_parts(path)] == ["fc"]
    assert read_torch(path)["evil"].kind == "os.system"
    assert not (tmp_path / "pwned").exists()


def test_a_memo_far_away_costs_nothing(tmp_path):
    # Python's own unpickler would allocate room for four thousand million entries.
    path = write_torch(tmp_path / "a.pt", b"\x80\x02}r\xff\xff\xff\xff.")
    tracemalloc.start()
    refused(path, "holds neither")
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_keys_nested_a_million_deep_are_not_hashed(tmp_path):
    program = b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s."
    refused(write_torch(tmp_path / "a.pt", program), "its pickle ends in the middle")


def test_a_module_inside_itself_and_doubling_modules_come_to_an_end(tmp_path):
    # An object, remembered; its state has it as its own child.
    own = b"\x80\x02cx\nNet\n)\x81q\x00}X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00ah\x00ssb."
    refused(write_torch(tmp_path / "a.pt", own), "lie inside each other more than 32 deep")
    # Every level has the one below twice: 2**30 modules in 2 kB.
    program = b"\x80\x02cx\nNet\nq\xff)\x81q\x00"
    for level in range(1, 31):
        twice = b"(" + b"".join(b"X\x01\x00\x00\x00%ch%c" % (n, level - 1) for n in b"ab") + b"u"
        program += b"h\xff)\x81}X\x08\x00\x00\x00_modules}" + twice + b"sbq%c" % level
    refused(write_torch(tmp_path / "b.pt", program + b"."), "than 4096")


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            Tensor(GRID, 1, (3, 4), (4, 1)),
            r"a tensor of shape \(3, 4\) needs 13 elements, and there",
        ),
        (Tensor(GRID, 0, (1 << 40,), (0,)), "is larger than its record"),
        (Tensor(GRID, 0, (13,), (0,)), "is larger than its record"),
        (Tensor(GRID, 0, (4,), (-1,)), "must have whole sizes"),
        (Tensor(GRID, 0, (4.0,), (1,)), "must have whole sizes"),
        (Tensor(GRID, 0, (True,), (1,)), "must have whole sizes"),
        (Tensor(GRID, 0, (3, 4), (4,)), "has 2 axes, 1 steps"),
        (Tensor(GRID, 0, (1,) * 40, (1,) * 40), "has 40 axes"),
        (Tensor(GRID, 0, (3,), (1,), count=10**12), "has 48 bytes, and 1000000000000 elements"),
        (Tensor(GRID, 0, (3,), (1,), count=13), "has 48 bytes, and 13 elements"),
        (Tensor(GRID, 0, (3,), (1,), kind="torch.ComplexFloatStorage"), "type 'torch.ComplexFloat"),
        (Tensor(GRID, 0, (3,), (1,), kind="os.system"), "type 'os.system', which is not known"),
    ],
)
def test_absurd_tensors_are_refused_before_memory_is_taken(tmp_path, view, sentence):
    path = write_torch(tmp_path / "a.pt", {"fc.weight": view})
    tracemalloc.start()
    refused(path, sentence)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_zip_bombs_and_escapes_are_refused(tmp_path):
    many = [("archive/data/9", bytes(1 << 22))]
    path = write_torch(tmp_path / "a.pt", {"w": GRID}, more=many, compression=zipfile.ZIP_DEFLATED)
    refused(path, "is compressed, which torch.save never does")
    for name in ("../evil", "/etc/evil", "archive/../../evil"):
        refused(write_torch(tmp_path / "b.pt", {"w": GRID}, more=[(name, b"")]), "leads out of the")
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write_torch(tmp_path / "c.pt", {"w": GRID}, more=[("archive/data/0", b"")])
    refused(path, "holds 'archive/data/0' twice")
    refused(write_torch(tmp_path / "d.pt", {"w": GRID}, more=[("b/data.pkl", b"")]), "one data.pkl")
    script = [("archive/constants.pkl", b"")]
    refused(write_torch(tmp_path / "e.pt", {"w": GRID}, more=script), "is TorchScript")


def test_records_that_overlap_are_refused(tmp_path):
    path = write_torch(tmp_path / "a.pt", {"w": np.zeros(1 << 12, np.float32)})
    data = bytearray(path.read_bytes())
    # The directory at the end says how long a record is; the header before it says so, too.
    for at in (data.rindex(b"archive/version") - 46, data.rindex(b"archive/byteorder") - 46):
        struct.pack_into("<II", data, at + 20, 1 << 14, 1 << 14)
    path.write_bytes(data)
    refused(path, "claims .* bytes of records")


def test_the_format_before_1_6_and_other_files_are_refused(tmp_path):
    (tmp_path / "old.pt").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    refused(tmp_path / "old.pt", "or of torch before 1.6")
    assert not is_torch(tmp_path / "old.pt")
    assert not is_torch(tmp_path / "nobody.pt")
