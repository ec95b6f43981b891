"""Plans of many trainings: what is refused, continued, and lost with a worker (nothing)."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import model
from events import Counts, save
from ranvier.cli import main
from ranvier.experiment import MEASURED, Job, Results, read_plan, run_plan

ROOT = Path(__file__).parents[1]
PLAN = """
[task]
train = "{data}:train"
test = "{data}:test"
steps = 20
dt_ms = 1
units_per_channel = 1
hold_out = "1"

[defaults]
hidden = [6]
epochs = {epochs}
max_delay = 6
tau_ms = 4

[[runs]]
name = "learned"
rule = "three-factor"
seeds = [0, 1]

[[runs]]
name = "fixed"
rule = "three-factor"
seeds = [0]
choices = {{ delay_rate = 0.0 }}
"""


def data(folder):
    """Two classes, which of two channels fires first; two speakers."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        labels = rng.integers(0, 2, 40)
        counts = np.zeros((40, 20, 3), np.uint8)
        for r, label in enumerate(labels):
            at = rng.integers(1, 8)
            counts[r, at, label] = 3
            counts[r, at + 5, 1 - label] = 3
        save(
            Counts(
                counts=counts, labels=labels, label_names=("a", "b"), speakers=np.arange(40) % 4,
                n_units=3, units_per_channel=1, dt_ms=1.0, source="made",
                late=np.zeros(40, np.int64), excess=np.zeros(40, np.int64),
            ),
            folder / f"{part}.npz",
        )  # fmt: skip


def written(folder, text=PLAN, epochs=2):
    data(folder)
    plan = text.format(data="DATA", epochs=epochs)
    plan = plan.replace("DATA:train", str(folder / "train.npz"))
    (folder / "plan.toml").write_text(plan.replace("DATA:test", str(folder / "test.npz")))
    return folder / "plan.toml"


def same(rows):
    """Rows by identity, without what is not the same on every run."""
    return {
        key: {name: value for name, value in row.items() if name not in MEASURED}
        for key, row in rows.items()
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A plan run to its end by the command, and what it said."""
    folder = tmp_path_factory.mktemp("done")
    plan = written(folder)
    arguments = ["experiment", str(plan), "-o", str(folder / "out"), "--jobs", "2", "--json"]
    return folder, plan, CliRunner().invoke(main, arguments)


def test_command_runs_every_seed_of_every_run(done):
    folder, plan, ran = done
    assert ran.exit_code == 0, ran.output
    rows = json.loads(ran.stdout)
    assert [(r["name"], r["seed"]) for r in rows] == [("learned", 0), ("learned", 1), ("fixed", 0)]
    for job, row in zip(read_plan(plan), rows, strict=True):
        assert row["id"] == job.identity
        assert row["trial"]["epochs"] == len(row["history"]) == 2
        assert row["memory_bits"] > 0
        assert row["clocks"] > 20
        assert row["peak_bytes"] > 1e7
        network = model.load(folder / "out" / "networks" / f"{row['id']}.npz")
        assert network.parameters == row["parameters"]
        assert network.provenance["run"] == row["name"]
    delays = [
        model.load(folder / "out" / "networks" / f"{row['id']}.npz").projections[0].delays
        for row in rows
    ]
    assert (delays[0] != delays[2]).any()
    assert not list((folder / "out" / "checkpoints").iterdir())


def test_what_is_there_is_not_run_again(done):
    folder, plan, _ = done
    before = (folder / "out" / "rows.jsonl").read_bytes()
    ran = CliRunner().invoke(main, ["experiment", str(plan), "-o", str(folder / "out")])
    assert ran.exit_code == 0
    assert "3 of 3 trainings are in" in ran.stderr
    assert (folder / "out" / "rows.jsonl").read_bytes() == before


def test_job_survives_its_text(done):
    for job in read_plan(done[1]):
        assert Job.from_json(job.to_json()) == job


def test_data_of_the_worker_must_be_those_of_the_plan(done, tmp_path):
    jobs = [replace(read_plan(done[1])[0], data="other")]
    said = []
    failed = run_plan(
        jobs, Results(tmp_path), workers=1, scheduler=None, progress=lambda _, row: said.append(row)
    )
    assert failed == 1
    assert said == ["the data of this worker are not those of the plan: copy them there"]
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 20", "step = 20", "task: has no field 'step'"),
        ("steps = 20\n", "", "task: steps is missing"),
        ("steps = 20", 'steps = "20"', "task: steps must be of type int, not '20'"),
        ("[task]", "[tusk]", "has 'tusk', and a plan has task, defaults and runs"),
        ("[task]", "[task", "is not TOML"),
        ("hidden = [6]", "hidden = 6", "run 1: hidden must be a list of sizes, as [64], not 6"),
        ("seeds = [0, 1]", "seeds = 3", "run 1: seeds must be a list of whole numbers, not 3"),
        ('"three-factor"', '"bptt"', "run 'learned': rule must be one of three-factor, eventprop"),
        ("delay_rate = 0.0", "rate = 1", "run 'fixed': three-factor has no choice 'rate'"),
        ("delay_rate = 0.0", "delay_rate = -1", "run 'fixed': delay_rate must be a number of"),
        ("tau_ms = 4", "tau_ms = 0", "run 'learned': tau_ms must be positive, not 0.0"),
        (
            "tau_ms = 4", "input_scale = 0.0",
            "run 'learned': input_scale must be a positive number, not 0.0",
        ),
        ('"three-factor"', '"delgrad"', "run 'learned': tau_syn_ms must be positive, not 0.0"),
        (
            'rule = "three-factor"', 'rule = "delgrad"\nrecurrent = "none"',
            "run 'learned': recurrent has no meaning for first spikes; leave it out",
        ),
        ('hold_out = "1"', 'hold_out = "9"', "task: --hold-out must name some of the speakers"),
        ("train.npz", "gone.npz", "gone.npz: there is no such file"),
    ],
)  # fmt: skip
def test_plan_with_a_mistake_is_refused(tmp_path, old, new, said):
    plan = written(tmp_path)
    text = plan.read_text()
    assert old in text
    plan.write_text(text.replace(old, new))
    ran = CliRunner().invoke(main, ["experiment", str(plan), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert str(plan) in ran.stderr
    assert said in ran.stderr
    assert not (tmp_path / "out").exists()


def test_plan_may_train_first_spikes(tmp_path):
    text = PLAN.replace('"three-factor"', '"delgrad"').replace(
        "tau_ms = 4", "tau_ms = 4\ntau_syn_ms = 2"
    )
    assert [job.trial.rule for job in read_plan(written(tmp_path, text))] == 3 * ["delgrad"]


def test_damaged_results_are_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n{"id": ')
    with pytest.raises(ValueError, match=re.escape("rows.jsonl: line 2 is damaged; remove it")):
        Results(tmp_path)


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def started(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait(for_what, seconds=120):
    until = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nothing_is_lost_with_a_worker_and_the_result_is_the_same(tmp_path):
    jobs = read_plan(written(tmp_path, epochs=600))
    here = Results(tmp_path / "here")
    assert run_plan(jobs, here, workers=2, scheduler=None, progress=lambda *_: None) == 0

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    cluster = [started("distributed.cli.dask_scheduler", "--port", str(port),
                       "--host", "127.0.0.1", "--no-dashboard")]  # fmt: skip
    worker = ("distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1",
              "--no-dashboard", "--local-directory", str(tmp_path))  # fmt: skip
    cluster += [started(*worker) for _ in range(2)]
    try:
        there, failures = Results(tmp_path / "there"), []

        def run():
            wait(lambda: listens(port))
            failures.append(
                run_plan(jobs, there, workers=1, scheduler=address, progress=lambda *_: None)
            )

        running = Thread(target=run)
        running.start()
        victim = psutil.Process(cluster[1].pid)

        def training():
            # One that has just ended has no command line any more.
            with suppress(psutil.Error):
                return [c for c in victim.children() if "ranvier.experiment" in c.cmdline()]
            return []

        found = []
        wait(lambda: found.extend(training()) or found)
        child = found[0]
        victim.send_signal(signal.SIGKILL)
        running.join(180)
        assert not running.is_alive()
        assert failures == [0]
        assert same(there.rows) == same(here.rows)
        # Nobody waits for what the dead worker had begun.
        wait(lambda: not child.is_running(), 10)
    finally:
        for process in cluster:
            process.kill()
            process.wait()


def test_training_ends_with_a_parent_that_has_gone_before_it_began(done):
    job = read_plan(done[1])[0]
    command = [sys.executable, "-m", "ranvier.experiment", str(2**22 + 1), "", ""]
    ended = subprocess.run(
        command, input=job.to_json(), text=True, cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == 1
