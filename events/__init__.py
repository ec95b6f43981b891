"""What goes in: recordings of events, their counts per step, and how sound becomes events.

    train, test = events.spoken_digits()                       # embedded, no network needed
    data = events.load("shd_train.h5")                         # or any other known file
    counts = data.binned(units_per_channel=5, dt_ms=10.0, steps=100)
    one = events.encode("speech.wav")                          # through the cochlea
    points = events.yin_yang.part("train")                     # drawn by equations

`events.official.fetch` downloads SHD and SSC; `python -m events.digits` makes the embedded set.
"""

from events import yin_yang
from events.audio import encode, read_wav
from events.digits import spoken_digits
from events.readers import DIGITS, load, save
from events.recordings import UNLABELLED, Counts, Recordings, join

__all__ = [
    "DIGITS",
    "UNLABELLED",
    "Counts",
    "Recordings",
    "encode",
    "join",
    "load",
    "read_wav",
    "save",
    "spoken_digits",
    "yin_yang",
]
