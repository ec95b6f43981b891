"""Addresses of the chip behind a bus of words."""

from dataclasses import replace

import pytest

from datapath import Format, Readout, mailbox, ports
from datapath.catalog import CHIPS, DIGITS_AXONAL, TINY
from datapath.memory import bus_addresses
from datapath.schema import chip_digest


def test_addresses_of_a_tiny_chip():
    # The memories of TINY end below 512, so that bit 9 tells registers from memories.
    assert mailbox.addresses(TINY) == {
        "magic": 512,
        "chip": 513,
        "idle": 514,
        "room": 515,
        "waiting": 516,
        "clocks": 517,
        "command": 520,
        "result": 528,
    }
    assert [field.fmt.width for field in mailbox.request(TINY)] == [1, 10, 32]
    assert mailbox.MAGIC.to_bytes(4, "big") == b"RNVR"
    assert f"{mailbox.chip_word(TINY):08x}" == chip_digest(TINY)[:8]


@pytest.mark.parametrize("name", CHIPS)
def test_registers_begin_where_memories_end(name):
    chip = CHIPS[name]
    at = mailbox.addresses(chip)
    assert bus_addresses(chip) <= mailbox.base(chip) < 2 * bus_addresses(chip)
    assert len({*at.values()}) == len(at)
    most = max(mailbox.payload(side(chip)).beats for side in (ports.command, ports.result))
    assert most <= mailbox.WINDOW
    last = max(at.values()) + mailbox.WINDOW - 1
    assert mailbox.request(chip)[1].fmt.max >= last


def test_a_result_takes_as_many_beats_as_it_needs():
    # 2 bits of op, 4 of index, 1 of saturated.
    for width, beats in ((25, 1), (26, 2)):
        chip = replace(TINY, readout=Readout(score=Format(width), classes=4))
        assert mailbox.payload(ports.result(chip)).beats == beats
    assert mailbox.payload(ports.result(DIGITS_AXONAL)).beats == 2
