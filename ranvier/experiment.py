"""Plans of many trainings: read, run side by side on processors or machines, continued if stopped.

Every training runs in a process of its own, so that its peak memory is its own and its bits do not
depend on what ran before it.  Dask hands trainings out, on this machine or on many; one whose
worker dies is run again, from the same seed to the same bits.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ranvier.training import trainer_of

if TYPE_CHECKING:
    from events import Counts
    from model import Network

ROWS, NETWORKS, CHECKPOINTS = "rows.jsonl", "networks", "checkpoints"
"""What a folder of results holds."""
CALIBRATION = 256
"""Training recordings that the quantizer sees."""
MEASURED = ("resumed", "seconds", "processor_seconds", "peak_bytes")
"""Fields of a row that are not the same on every run."""


@dataclass(frozen=True, slots=True)
class Task:
    """Recordings to learn and to be tested on, and how they are binned.

    train, test : names as the commands take them.  hold_out : speakers, as "3,9", that choose the
    epoch; "" for none, the last epoch.  recordings : of the training part to use, 0 for all.
    """

    train: str
    test: str
    steps: int
    dt_ms: float
    units_per_channel: int
    hold_out: str = ""
    recordings: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """One training.

    hidden ... input_scale : as `learn.make_network`; delays is where they start; tau_syn_ms 0 is
    no current.  Of the rule delgrad as `learn.make_first_spike_network`: reset, readout_alpha and
    input_scale do not count.  rule : as `ranvier train --rule`.  choices : further fields of the
    rule.  weight_bits ... membrane_bits : of the chip it is mapped onto.
    """

    name: str
    seed: int
    hidden: tuple[int, ...]
    rule: str
    epochs: int
    delay: str = "axonal"
    recurrent: str = ""
    max_delay: int = 40
    delays: str = "random"
    tau_ms: float = 15.0
    tau_syn_ms: float = 0.0
    reset: str = "subtract"
    readout_alpha: float = 0.95
    input_scale: float = 0.08
    choices: tuple[tuple[str, str | int | float | bool], ...] = ()
    weight_bits: int = 8
    delay_bits: int = 6
    coefficient_bits: int = 9
    membrane_bits: int = 20


@dataclass(frozen=True, slots=True)
class Job:
    """A training on its data, as it is sent to a worker."""

    task: Task
    trial: Trial
    data: str
    """Digest of all recordings."""

    @property
    def identity(self) -> str:
        """Return what names its results."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `to_json` has written."""
        given = json.loads(text)
        trial = given["trial"]
        trial["hidden"] = tuple(trial["hidden"])
        trial["choices"] = tuple((name, value) for name, value in trial["choices"])
        return cls(Task(**given["task"]), Trial(**trial), given["data"])


def read_plan(path: str | os.PathLike[str]) -> list[Job]:
    """Read a plan, and refuse what cannot be trained before anything is.

    A TOML file with a table `task` (fields of `Task`), a table `defaults` and tables `runs`
    (fields of `Trial`, with `seeds`, a list, in the place of `seed`, and `choices`, a table).

    Raises
    ------
    ValueError
        The file is no plan, or one of its runs makes no network or rule.
    OSError
        The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            given = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not TOML: {error}") from None
    for name in given:
        if name not in ("task", "defaults", "runs"):
            raise ValueError(f"{path}: has {name!r}, and a plan has task, defaults and runs")
    runs = given.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ValueError(f"{path}: has no runs; add one as [[runs]]")
    task = cast(Task, _made(Task, given.get("task", {}), f"{path}: task"))
    trials: list[Trial] = []
    for number, run in enumerate(runs, 1):
        where = f"{path}: run {number}"
        if not isinstance(run, dict) or not isinstance(given.get("defaults", {}), dict):
            raise ValueError(f"{where}: runs and defaults must be tables")
        trials += _trials({**given.get("defaults", {}), **run}, where)
    data = _Data(task, str(path))
    for trial in trials:
        try:
            data.start(trial)
            trainer_of(trial.rule, dict(trial.choices))
        except ValueError as error:
            raise ValueError(f"{path}: run {trial.name!r}: {error}") from None
    return [Job(task, trial, data.digest) for trial in trials]


def _trials(given: dict[str, Any], where: str) -> Iterator[Trial]:
    seeds = given.pop("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise ValueError(f"{where}: seeds must be a list of whole numbers, not {seeds!r}")
    choices = given.pop("choices", {})
    if not isinstance(choices, dict):
        raise ValueError(f"{where}: choices must be a table, not {choices!r}")
    hidden = given.get("hidden")
    if not isinstance(hidden, list) or not all(type(size) is int for size in hidden):
        raise ValueError(f"{where}: hidden must be a list of sizes, as [64], not {hidden!r}")
    given["hidden"], given["choices"] = tuple(hidden), tuple(sorted(choices.items()))
    for seed in seeds:
        yield cast(Trial, _made(Trial, {**given, "seed": seed}, where))


def _made(kind: type[Task] | type[Trial], given: Any, where: str) -> Task | Trial:
    """Make a dataclass of a TOML table, saying what is missing, too much or of another type."""
    if not isinstance(given, dict):
        raise ValueError(f"{where}: must be a table, not {given!r}")
    known = {field.name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise ValueError(f"{where}: has no field {name!r}; there are {', '.join(known)}")
    values = {}
    for name, field in known.items():
        if name not in given:
            if field.default is MISSING:
                raise ValueError(f"{where}: {name} is missing")
            continue
        value = given[name]
        wanted = {"int": int, "float": float, "str": str}.get(str(field.type))
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is not None and type(value) is not wanted:
            raise ValueError(f"{where}: {name} must be of type {field.type}, not {value!r}")
        values[name] = value
    return kind(**values)


class _Data:
    """The recordings of a task, binned."""

    def __init__(self, task: Task, where: str) -> None:
        from ranvier.sources import labelled, open_data, some, split

        def binned(name: str, recordings: int) -> Counts:
            given = some(labelled(open_data(name), name), recordings or None)
            return given.binned(
                units_per_channel=task.units_per_channel, dt_ms=task.dt_ms, steps=task.steps
            )

        try:
            self.train = binned(task.train, task.recordings)
            self.test = binned(task.test, 0)
            self.examples, self.held_out = split(self.train, task.hold_out or None)
        except (ValueError, OSError) as error:
            raise ValueError(f"{where}: task: {error}") from None

    @property
    def digest(self) -> str:
        """SHA-256 of all counts and labels."""
        sha = hashlib.sha256()
        for part in (self.train, self.test):
            sha.update(str(part.counts.shape).encode())
            sha.update(part.counts.data)
            sha.update(part.labels.data)
        return sha.hexdigest()

    def start(self, trial: Trial) -> Network:
        """Return the network that a training begins with."""
        from learn import make_first_spike_network, make_network
        from ranvier.sources import ends

        size: dict[str, Any] = {
            **ends(self.train),
            "hidden": trial.hidden,
            "tau_ms": trial.tau_ms,
            "delay": trial.delay,
            "max_delay": trial.max_delay,
            "delays": trial.delays,
            "seed": trial.seed,
        }
        if trial.rule == "delgrad":
            if trial.recurrent:
                raise ValueError("recurrent has no meaning for first spikes; leave it out")
            return make_first_spike_network(**size, tau_syn_ms=trial.tau_syn_ms)
        return make_network(
            **size,
            tau_syn_ms=trial.tau_syn_ms or None,
            reset=trial.reset,
            readout_alpha=trial.readout_alpha,
            recurrent=trial.recurrent or None,
            input_scale=trial.input_scale,
        )


def perform(job: Job, folder: Path, checkpoint: Path | None) -> dict[str, Any]:
    """Run a job: train, map onto a chip, test; leave the network in `folder`.

    Returns
    -------
    The row of results: what the job was, accuracies, memory bits, clocks per recording, seconds
    (since it was last begun, if it has been resumed), and the largest memory of this process.
    """
    import model
    from datapath import Image
    from emulator.chip import run
    from model import simulate
    from quant import quantize
    from quant.calibrate import taken
    from quant.cost import memory_bits
    from ranvier.defaults import OPTIONS
    from ranvier.sources import some

    trial, data = job.trial, _Data(job.task, "the data of this worker")
    if data.digest != job.data:
        raise ValueError("the data of this worker are not those of the plan: copy them there")
    resumed = checkpoint is not None and checkpoint.exists()
    begun, worked = time.perf_counter(), time.process_time()
    result = trainer_of(trial.rule, dict(trial.choices))(
        data.start(trial),
        data.examples,
        epochs=trial.epochs,
        seed=trial.seed,
        held_out=data.held_out,
        checkpoint=checkpoint,
    )
    seconds, processor = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    network = replace(result.network, provenance={**result.network.provenance, "run": trial.name})
    model.save(network, folder / f"{job.identity}.npz")
    options = replace(
        OPTIONS,
        weight_bits=trial.weight_bits,
        delay_bits=trial.delay_bits,
        coefficient_bits=trial.coefficient_bits,
        membrane_bits=trial.membrane_bits,
    )
    calibration = some(data.train, CALIBRATION).counts
    image: Image
    image, _ = quantize(network, chip=None, options=options, calibration=calibration)
    counts, labels = data.test.counts, data.test.labels
    on_chip = run(image, taken(image, counts))
    return {
        "id": job.identity,
        "name": trial.name,
        "seed": trial.seed,
        "task": asdict(job.task),
        "trial": asdict(trial),
        "data": job.data,
        "history": [asdict(epoch) for epoch in result.history],
        "parameters": network.parameters,
        "float_accuracy": float((simulate(network, counts).classes == labels).mean()),
        "chip_accuracy": float((on_chip.classes == labels).mean()),
        "memory_bits": memory_bits(image.chip).bits,
        "clocks": float(on_chip.total_cycles.mean()),
        "resumed": resumed,
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_bytes": peak,
    }


def isolated(text: str, checkpoint: str | None) -> tuple[dict[str, Any], str]:
    """Run a job in a process of its own; return its row, and its network's file in base 64.

    text : the job.  checkpoint : a file of this machine, or None.

    Raises
    ------
    RuntimeError
        The training failed; the message is a sentence.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = [str(os.getpid()), folder, checkpoint or ""]
        command = [sys.executable, "-m", "ranvier.experiment", *own]
        # Trainings share a machine best, and are timed alike, with a core each.
        alone = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            command, input=text, text=True, capture_output=True, check=False, env=alone
        )
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"]
            raise RuntimeError(lines[-1])
        row = json.loads(ended.stdout.splitlines()[-1])
        network = (Path(folder) / f"{row['id']}.npz").read_bytes()
    return row, base64.b64encode(network).decode()


class Results:
    """The folder in which results gather, a line for each job."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.rows = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        path, rows = self.folder / ROWS, {}
        if path.exists():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                try:
                    row = json.loads(line)
                    rows[row["id"]] = row
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"{path}: line {number} is damaged; remove it") from None
        return rows

    def checkpoint(self, job: Job) -> Path:
        """Return where a job of this machine keeps its state."""
        return self.folder / CHECKPOINTS / f"{job.identity}.npz"

    def begin(self) -> None:
        """Make the folder."""
        for name in (NETWORKS, CHECKPOINTS):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, job: Job, row: dict[str, Any], network: str) -> None:
        """Keep what a job has given; its checkpoint is needed no more."""
        target = self.folder / NETWORKS / f"{job.identity}.npz"
        part = target.with_suffix(".part")
        part.write_bytes(base64.b64decode(network))
        part.replace(target)
        with (self.folder / ROWS).open("a") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[job.identity] = row
        self.checkpoint(job).unlink(missing_ok=True)


def run_plan(
    jobs: list[Job],
    results: Results,
    *,
    workers: int,
    scheduler: str | None,
    progress: Callable[[Job, Mapping[str, Any] | str], None],
) -> int:
    """Run every job that has no row yet, on a cluster; return how many failed.

    workers : processes of the cluster that is started here, if there is no `scheduler`.
    scheduler : address of a Dask scheduler, as tcp://host:8786.
    progress : called with each job that has ended, and its row or the sentence it failed with.

    Raises
    ------
    OSError
        There is no scheduler at that address.
    """
    from distributed import Client, LocalCluster, as_completed

    todo = [job for job in jobs if job.identity not in results.rows]
    results.begin()
    if not todo:
        return 0
    cluster = None
    if scheduler is None:
        cluster = LocalCluster(
            n_workers=min(workers, len(todo)),
            threads_per_worker=1,
            processes=True,
            # Any free port: another experiment may run here.
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        )
    failed = 0
    try:
        with Client(cluster if cluster is not None else scheduler, timeout=10) as client:
            given = {}
            for job in todo:
                # Another machine may not see this folder.
                kept = None if scheduler else str(results.checkpoint(job).resolve())
                future = client.submit(isolated, job.to_json(), kept, key=job.identity, pure=False)
                given[future] = job
            for future in as_completed(list(given)):
                job = given[future]
                if future.status == "error":
                    failed += 1
                    progress(job, str(future.exception()))
                else:
                    row, network = future.result()
                    results.add(job, row, network)
                    progress(job, row)
    finally:
        if cluster is not None:
            cluster.close()
    return failed


def _end_with(parent: int) -> None:
    """End this process when the one that started it has gone: nobody waits for its result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Run the job on standard input.

    Arguments: the process that waits for it, a folder for its network, and its checkpoint.
    """
    from ranvier.cli import sentence
    from ranvier.kernel_cache import install

    parent, folder, checkpoint = sys.argv[1:]
    _end_with(int(parent))
    install()
    try:
        row = perform(
            Job.from_json(sys.stdin.read()), Path(folder), Path(checkpoint) if checkpoint else None
        )
    except (ValueError, OSError) as error:
        sys.exit(sentence(error))
    print(json.dumps(row))


if __name__ == "__main__":
    main()
