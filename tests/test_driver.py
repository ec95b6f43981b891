"""The C driver, compiled strictly, on the gates behind AXI and on buses that misbehave."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from datapath import ports
from datapath.catalog import TINY, TINY_LEARN
from datapath.files import save
from datapath.ports import Command
from datapath.timing import clear_cycles
from emulator.chip import run
from emulator.learn import learn
from ranvier.cli import main
from rtl.axi import AxiChip
from sim import cxxrtl
from sim.compare import RECORDED
from sim.images import random_counts, random_image, random_labels, random_learning
from sim.results import expected_payloads
from sim.trace import beats, program

FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]

C_MAIN = """\
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ranvier.h"

void *axi_open(void);
void axi_close(void *bus);
int axi_read(void *bus, uint32_t address, uint32_t *word);
int axi_write(void *bus, uint32_t address, uint32_t word);
uint32_t axi_refused(const void *bus);

static void show(void *bus, const struct ranvier_result *r)
{
    (void)bus;
    printf("%" PRIu32 " %" PRIu32 " %" PRId64 " %" PRIu32 "\\n", r->op, r->index, r->value,
           r->saturated);
}

static int stop(const char *what, int status)
{
    fprintf(stderr, "%s: %d\\n", what, status);
    return 1;
}

/* Lines of a recording: `event TICK CHANNEL COUNT`, then `run TICKS LABEL`; `update` learns. */
int main(void)
{
    static struct ranvier_event events[100000];
    struct ranvier chip = {axi_read, axi_write, show, axi_open(), 1000000, 0};
    struct ranvier_result end;
    uint32_t count = 0, ticks, clocks;
    int32_t label;
    char word[8];
    int status = ranvier_open(&chip);
    if (!status)
        status = ranvier_load(&chip);
    if (!status)
        status = ranvier_verify(&chip);
    if (status)
        return stop("load", status);
    while (scanf("%7s", word) == 1) {
        if (!strcmp(word, "event")) {
            struct ranvier_event *e = &events[count++];
            if (scanf("%" SCNu32 " %" SCNu32 " %" SCNu32, &e->tick, &e->channel, &e->count) != 3)
                return 1;
        } else if (!strcmp(word, "run")) {
            if (scanf("%" SCNu32 " %" SCNd32, &ticks, &label) != 2)
                return 1;
            status = ranvier_clocks(&chip, &clocks);
            if (!status)
                status = ranvier_run(&chip, events, count, ticks, &end);
            if (!status)
                status = ranvier_clocks(&chip, &clocks);
            if (status)
                return stop("run", status);
            printf("class %" PRIu32 " score %" PRId64 " clocks %" PRIu32 "\\n", end.index,
                   end.value, clocks);
#if RANVIER_LEARNS
            if (label >= 0 && (status = ranvier_learn(&chip, (uint32_t)label, &end)))
                return stop("learn", status);
#endif
            count = 0;
        }
#if RANVIER_LEARNS
        else if ((status = ranvier_update(&chip, &end)))
            return stop("update", status);
#endif
    }
    for (uint32_t r = 0; r < RANVIER_RUNS; r++)
        for (uint32_t w = 0; w < ranvier_runs[r].words; w++)
            for (uint32_t b = 0; b < ranvier_runs[r].beats; b++) {
                uint32_t found;
                status = axi_read(chip.context,
                                  ranvier_runs[r].address + w * ranvier_runs[r].stride + b, &found);
                printf("left %d %" PRIu32 "\\n", status, found);
            }
    printf("refused %" PRIu32 "\\n", axi_refused(chip.context));
    axi_close(chip.context);
    return 0;
}
"""


def compiler():
    """Return a C compiler: $CC, gcc, clang, or that of ziglang; skip where there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("gcc", "clang"):
        if shutil.which(name):
            return [name]
    try:
        command = list(cxxrtl.compiler())
    except OSError:
        pytest.skip("no C compiler: the driver is neither compiled nor run")
    return [*command[:-1], "cc"]


@pytest.fixture
def gates():
    """Return what compiles a chip behind AXI; skip where there is no compiler."""
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))
    return lambda chip: cxxrtl.built(partial(AxiChip, chip), repr(chip), "axi.cpp")


def exported(image, folder):
    """Write what a user would: the image, its header, the driver."""
    save(image, folder / "chip.ranvier")
    words = ["export", str(folder / "chip.ranvier"), str(folder / "out"), "--no-verilog"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "out"


def compiled(folder, text, *libraries):
    """Compile the driver and a program strictly."""
    (folder / "main.c").write_text(text)
    command = [*compiler(), *FLAGS, "main.c", "ranvier.c", *map(str, libraries), "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "main"


def recording(counts, label):
    lines = [f"event {t} {c} {counts[t, c]}" for t, c in zip(*np.nonzero(counts), strict=True)]
    return "\n".join([*lines, f"run {len(counts)} {label}\n"])


def rows(want, of):
    """Return the lines that results make, those of a class without its END."""
    picked = zip(want.op[of], want.index[of], want.value[of], want.saturated[of], strict=True)
    return [" ".join(map(str, row)) for row in picked if row[0] != ports.Result.END]


@pytest.mark.parametrize("chip", [TINY, TINY_LEARN], ids=["tiny", "tiny_learn"])
def test_a_c_program_runs_the_gates_and_equals_the_emulator(chip, gates, tmp_path):
    rng = np.random.default_rng(5)
    image = random_image(rng, chip, 20)
    image = replace(image, populations=tuple(replace(p, emit=True) for p in image.populations))
    counts = np.minimum(random_counts(rng, image, 4), chip.axon.count.max)
    counts[0] = rng.integers(0, 2, counts[0].shape)
    labels = None
    if chip.learn is not None:
        image, labels = random_learning(rng, image), random_labels(rng, image, 4)
    folder = exported(image, tmp_path)
    main = compiled(folder, C_MAIN, gates(chip))
    said = [-1] * 4 if labels is None else labels
    given = "".join(recording(c, label) for c, label in zip(counts, said, strict=True))
    if labels is not None:
        given += "update\n"
    done = subprocess.run([main], input=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    expected = run(image, counts, record=RECORDED)
    asked = program(image, counts, labels=labels, update=labels is not None)
    learned = None if labels is None else learn(image, counts, labels, batch=4)
    want = expected_payloads(image, asked, expected, learned)
    lines = []
    for n in range(4):
        of = (want.recording == n) & (want.command == Command.TICK)
        ended = of & (want.op == ports.Result.END)
        # Every tick but the last one has an END that the driver keeps to itself.
        lines += rows(want, of)
        last = np.flatnonzero(ended)[-1]
        lines.append(
            f"class {expected.classes[n]} score {want.value[last]} "
            f"clocks {expected.total_cycles[n]}"
        )
        assert expected.clear_cycles[n] == clear_cycles(chip)
    data = beats(image if learned is None else learned.image)[1]
    lines += [f"left 0 {beat}" for beat in data]
    assert done.stdout.splitlines() == [*lines, "refused 0"]


FAKE = """\
#include <stdio.h>
#include "ranvier.h"

/* A bus of registers that stand still, and of memories that forget what is written to `bad`. */
struct fake {
    uint32_t magic, chip, room, bad, memory[RANVIER_REGISTER_MAGIC_ADDRESS];
    int failing;
};

static int get(void *context, uint32_t address, uint32_t *word)
{
    struct fake *fake = context;
    *word = address == RANVIER_REGISTER_MAGIC_ADDRESS  ? fake->magic
            : address == RANVIER_REGISTER_CHIP_ADDRESS ? fake->chip
            : address == RANVIER_REGISTER_IDLE_ADDRESS ? 1
            : address == RANVIER_REGISTER_ROOM_ADDRESS ? fake->room
            : address < RANVIER_REGISTER_MAGIC_ADDRESS ? fake->memory[address]
                                                       : 0;
    return fake->failing;
}

static int set(void *context, uint32_t address, uint32_t word)
{
    struct fake *fake = context;
    if (address < RANVIER_REGISTER_MAGIC_ADDRESS && address != fake->bad)
        fake->memory[address] = word;
    return fake->failing;
}

int main(void)
{
    static struct fake fake = {0, 0, 9, RANVIER_REGISTER_MAGIC_ADDRESS, {0}, 0};
    struct ranvier chip = {get, set, NULL, &fake, 3, 0};
    struct ranvier_event late = {2, 0, 1};
    struct ranvier_result end;
    printf("%d", ranvier_open(&chip));
    fake.magic = RANVIER_MAGIC;
    printf(" %d", ranvier_open(&chip));
    fake.chip = RANVIER_CHIP;
    printf(" %d", ranvier_open(&chip));
    printf(" %d", ranvier_load(&chip));
    printf(" %d", ranvier_verify(&chip));
    fake.bad = RANVIER_WEIGHTS_ADDRESS;
    fake.memory[fake.bad] = ~fake.memory[fake.bad];
    printf(" %d", ranvier_verify(&chip));
    printf(" %d", ranvier_event(&chip, RANVIER_CHANNELS, 1));
    printf(" %d", ranvier_event(&chip, 0, RANVIER_COMMAND_COUNT_MASK + 1));
    printf(" %d", ranvier_event(&chip, RANVIER_CHANNELS - 1, RANVIER_COMMAND_COUNT_MASK));
    printf(" %d", ranvier_run(&chip, &late, 1, 0, &end));
    printf(" %d", ranvier_tick(&chip, &end));
    chip.room = fake.room = 0;
    printf(" %d", ranvier_clear(&chip));
    fake.failing = 7;
    printf(" %d %d\\n", ranvier_open(&chip), ranvier_load(&chip));
    return 0;
}
"""


def test_the_driver_says_what_is_wrong(tmp_path):
    folder = exported(random_image(np.random.default_rng(0), TINY, 5), tmp_path)
    main = compiled(folder, FAKE)
    done = subprocess.run([main], capture_output=True, text=True, check=True)
    statuses = [-1, -2, 0, 0, 0, -3, -4, -4, 0, -4, -5, -5, 7, 7]
    assert done.stdout.split() == [str(status) for status in statuses]


def test_the_example_of_the_guide_compiles(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "host.md").read_text()
    (example,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    folder = exported(random_image(np.random.default_rng(0), TINY, 5), tmp_path)
    assert compiled(folder, example).exists()
