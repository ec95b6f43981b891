"""What the host of a chip that learns sends it, epoch after epoch."""

from types import SimpleNamespace

import numpy as np
import pytest

from learn import make_network
from learn.examples import shifted
from quant.learnable import LearnOptions, Tuning, learnable
from quant.start import start_image
from ranvier.defaults import OPTIONS
from ranvier.onchip import Schedule, learn_epoch

STILL = Tuning(weight_rate=0.0, delay_rate=0.0, half_taps=())
CHANNELS = 5


def schedule(shift):
    return Schedule(epochs=2, batch=4, tuning=STILL, channel_shift=shift)


def sent(shift, epoch=0):
    """Return what an epoch sends of recordings whose number is in channel 2, and its labels."""
    net = make_network(
        channels=CHANNELS, hidden=(4,), classes=2, steps=3, dt_ms=1.0, max_delay=2, seed=0
    )
    image = learnable(start_image(net, OPTIONS), schedule(shift).at(0), LearnOptions(), seed=0)
    labels = np.arange(30) % 2
    counts = np.zeros((30, 3, CHANNELS), np.uint8)
    counts[:, 1, 2] = np.arange(30) + 1
    given = []

    def engine(image, counts, labels, batch, progress):
        given.append((counts, labels))
        return SimpleNamespace(
            image=image, classes=labels, total_cycles=0, learn_saturated=np.zeros(30, bool)
        )

    learn_epoch(image, counts, labels, schedule(shift), epoch, seed=0, engine=engine)
    assert (counts[:, 1, 2] == np.arange(30) + 1).all()
    return given[0]


def test_every_recording_is_sent_once_with_its_label():
    counts, labels = sent(0)
    numbers = counts[:, 1, 2] - 1
    assert sorted(numbers.tolist()) == list(range(30))
    assert (labels == numbers % 2).all()
    assert counts.sum() == 30 * 31 // 2
    assert (sent(0, epoch=1)[0] != counts).any()


def test_a_shift_moves_whole_recordings_and_loses_what_leaves_the_array():
    counts, labels = sent(1)
    still, _ = sent(0)
    channel = counts[:, 1].argmax(axis=1)
    assert set(channel.tolist()) == {1, 2, 3}
    # The order is that without shifts, and nothing else changes.
    assert (counts.sum(axis=(1, 2)) == still.sum(axis=(1, 2))).all()
    assert (labels == (counts.sum(axis=(1, 2)) - 1) % 2).all()
    far, _ = sent(400)
    kept = far.sum(axis=(1, 2)) > 0
    assert not kept.all()
    assert (far.sum(axis=(1, 2))[kept] == still.sum(axis=(1, 2))[kept]).all()
    assert (sent(1, epoch=1)[0] != counts).any()


def test_a_negative_shift_is_refused():
    with pytest.raises(ValueError, match="channel_shift must be at least 0, not -1"):
        schedule(-1)


def test_channels_move_upwards_and_none_comes_in_at_the_edge():
    counts = np.tile(np.array([1, 2, 3], np.uint8), (5, 2, 1))
    moved = shifted(counts, np.array([0, 1, -1, 2, -7]))
    assert moved[:, 0].tolist() == [[1, 2, 3], [0, 1, 2], [2, 3, 0], [0, 0, 1], [0, 0, 0]]
    assert (moved[:, 1] == moved[:, 0]).all()
    assert moved.dtype == np.uint8
