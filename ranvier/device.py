"""A chip on a board: the calls of the C driver, over a serial line.

The protocol is `datapath.serial`; docs/host.md describes it.  A simulated chip answers the same
bytes, see `Device.simulated`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath import Chip, Image, mailbox, ports, serial
from datapath.contents import contents, controls, learned_image
from datapath.mailbox import MAGIC
from datapath.memory import Beats, addresses, control, memories, numbers
from datapath.ports import Command, Result
from datapath.serial import ANSWER, BAUD, MEANING, WORDS, Answer, Op, Status
from sim.trace import command_words

Integers = NDArray[np.int64]

TRIES = 3
"""How often a request is sent of which the chip says that it arrived damaged."""

PATIENCE = 20_000
"""How often in a row the chip may have no result before it counts as stuck."""

SECONDS = 1
"""How long a serial port is waited for; an answer takes milliseconds."""

AGAIN = (Status.CHECKSUM, Status.FRAMING, Status.BROKEN, Status.UNKNOWN)
"""Of these nothing was done, so that the request can be sent again."""

Words = NDArray[np.uint32]
Progress = Callable[[int, int], None]


class Line(Protocol):
    """What `serial.Serial` of pyserial is, as far as it is needed."""

    def write(self, data: bytes) -> object:
        """Send bytes."""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer after a while."""

    def close(self) -> None:
        """Let the line go."""


class Recording(NamedTuple):
    """What a recording gave.

    winner, score : of the last tick: the class, and its score.  clocks : of all commands.
    results : int64[results, 5], all that the chip sent, in its order: tick, op (a
    `datapath.ports.Result`), index, value, saturated.
    """

    winner: int
    score: int
    clocks: int
    results: Integers


class Device:
    """A chip on a serial line.

    Parameters
    ----------
    line : Line
        How to reach it.
    chip : Chip
        What is on the board.
    name : str
        What to call it in errors.

    Raises
    ------
    OSError
        Nothing answers, or something else does.  Every method raises it when the line fails.
    ValueError
        The chip on the board is another one.
    """

    def __init__(self, line: Line, chip: Chip, name: str) -> None:
        self.chip = chip
        self.name = name
        self.repeated = 0
        """Requests that were sent again, because they had arrived damaged."""
        self._line = line
        self._tag = 0
        self._at = mailbox.addresses(chip)
        self._command = mailbox.payload(ports.command(chip))
        self._result = mailbox.payload(ports.result(chip))
        self._open()

    @classmethod
    def simulated(cls, chip: Chip) -> Device:
        """Return a simulated `chip`: its gates, the serial line included, running as C++."""
        from sim.line import Line as Simulated

        return cls(Simulated(chip), chip, "the simulated chip")

    @classmethod
    def on(cls, port: str, chip: Chip, *, baud: int = BAUD) -> Device:
        """Return the `chip` on a serial port, such as /dev/ttyUSB0 or COM3."""
        try:
            import serial as pyserial
        except ImportError:
            raise OSError(
                f"{port}: a serial port needs the package pyserial: `pip install ranvier[serial]`"
            ) from None
        line = pyserial.Serial(port, baud, timeout=SECONDS)
        line.reset_input_buffer()
        return cls(line, chip, port)

    def close(self) -> None:
        """Let the line go."""
        self._line.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        """Look whether there is the chip, and take away results that nobody took."""
        magic, word = self.read(self._at["magic"], 2)
        if magic != MAGIC:
            raise OSError(f"{self.name}: what answers there is no chip: it says {magic:#x}")
        if word != mailbox.chip_word(self.chip):
            raise ValueError(
                f"{self.name}: the chip there is {word:08x}, and {mailbox.chip_word(self.chip):08x}"
                " is wanted; build and load its bitstream with `ranvier synth --board`"
            )
        for _ in range(PATIENCE):
            idle = self.read(self._at["idle"], 1)[0]
            if not len(self._take()) and idle:
                return
        raise OSError(f"{self.name}: the chip does not come to an end; reset the board")

    def read(self, address: int, count: int, *, span: int = 0) -> list[int]:
        """Read words, at most `datapath.serial.WORDS`, up to the first that the chip refuses.

        span : as of `datapath.serial`.
        """
        return [*self._ask(Op.READ, address, count, span).words]

    def write(self, address: int, words: Words, *, span: int = 0) -> int:
        """Write words, likewise; return how many the chip took."""
        return self._ask(Op.WRITE, address, len(words), span, words.tolist()).done

    def _ask(
        self, op: Op, address: int, count: int, span: int, words: Sequence[int] = ()
    ) -> Answer:
        """Send a request, again if it arrived damaged, and return what was answered."""
        for attempt in range(TRIES):
            self._tag = self._tag % 255 + 1
            self._line.write(
                serial.request(op, address, count, span=span, tag=self._tag, words=words)
            )
            found = self._answer(op)
            if found.status in (Status.DONE, Status.REFUSED) and found.tag == self._tag:
                return found
            if found.status not in AGAIN:
                break
            self.repeated += attempt + 1 < TRIES
        said = MEANING[found.status]
        if found.status in (Status.DONE, Status.REFUSED):
            said = "the answer belongs to another request: does another program use the port?"
        raise OSError(f"{self.name}: the chip says {found.status.name}: {said}")

    def _answer(self, op: Op) -> Answer:
        """Read an answer to a request of `op`."""
        head = self._line.read(ANSWER)
        size = serial.rest(head, op) if len(head) == ANSWER else 1
        tail = self._line.read(size)
        if len(tail) < size:
            got = f"{len(head) + len(tail)} bytes of" if head else "no"
            raise OSError(
                f"{self.name}: there is {got} answer; is the board on, with a bitstream for this "
                "speed, and the port the right one?"
            )
        try:
            return serial.answer(head + tail)
        except ValueError as error:
            raise OSError(f"{self.name}: {error}") from None

    def load(self, image: Image, progress: Progress | None = None) -> None:
        """Write an image of this chip.

        progress : called with the words written and all there are.

        Raises
        ------
        ValueError
            The image is of another chip.
        """
        if image.chip != self.chip:
            raise ValueError(f"{self.name}: the image is of another chip than the one there")
        blocks = _blocks(image)
        done, most = 0, sum(map(len, blocks.values()))
        for first, block in blocks.items():
            for at in range(0, len(block), WORDS):
                part = block[at : at + WORDS]
                if self.write(first + at, part) < len(part):
                    raise OSError(f"{self.name}: the chip is busy, though its last command is done")
                done += len(part)
                if progress is not None:
                    progress(done, most)

    def verify(self, image: Image) -> None:
        """Read back what `load` wrote, and compare; learning changes memories.

        Raises
        ------
        OSError
            A word is another one.
        """
        for first, block in _blocks(image).items():
            found = self._read_block(first, len(block))
            bad = np.flatnonzero(found != block)
            if bad.size:
                n = int(bad[0])
                raise OSError(
                    f"{self.name}: the chip has {found[n]:#x} at address {first + n:#x}, not "
                    f"{block[n]:#x}, which was written"
                )

    def fetch(self, image: Image) -> Image:
        """Return `image`, which was loaded, as the chip has changed it by learning."""
        base = addresses(self.chip)
        beats: dict[str, Beats] = {}
        for memory in memories(self.chip):
            if not memory.state:
                words = len(contents(image)[memory.name])
                block = self._read_block(base[memory.name], words * memory.stride)
                beats[memory.name] = block.reshape(words, memory.stride)[:, : memory.beats]
        return learned_image(image, beats)

    def _read_block(self, first: int, count: int) -> Words:
        """Read any number of words of memories."""
        words: list[int] = []
        while len(words) < count:
            part = self.read(first + len(words), min(WORDS, count - len(words)))
            if not part:
                raise OSError(f"{self.name}: the chip is busy, though its last command is done")
            words += part
        return np.array(words, np.uint32)

    def run(self, counts: ArrayLike) -> Recording:
        """Play a recording.

        counts : integers[steps, channels], at least 0; more than an event holds takes several.
        """
        array = np.asarray(counts)
        steps, most = len(array), self.chip.axon.count.max
        tick, channel = np.nonzero(array)
        many = array[tick, channel].astype(np.int64)
        if (many < 0).any():
            raise ValueError("counts must be at least 0")
        times = -(-many // most)
        of = np.repeat(np.arange(len(many)), times)
        nth = np.arange(len(of)) - np.repeat(np.cumsum(times) - times, times)
        # All events of a tick, then its TICK; a CLEAR before everything.
        when = np.concatenate([[-1], tick[of], np.arange(steps)])
        op = np.repeat([Command.CLEAR, Command.EVENT, Command.TICK], [1, len(of), steps])
        column = np.zeros((2, len(op)), np.int64)
        column[0, 1 : 1 + len(of)] = channel[of]
        column[1, 1 : 1 + len(of)] = np.minimum(many[of] - nth * most, most)
        order = np.argsort(when, kind="stable")
        self.write(self._at["clocks"], np.zeros(1, np.uint32))
        results = self._play(op[order], column[0, order], column[1, order])
        ends = results[:, 0] == Result.END
        ticks = np.cumsum(ends) - ends
        last = results[-1] if len(results) else np.zeros(4, np.int64)
        clocks = self.read(self._at["clocks"], 1)[0]
        return Recording(
            int(last[1]), int(last[2]), clocks, np.column_stack([ticks, results]).astype(np.int64)
        )

    def learn(self, label: int) -> bool:
        """Learn from the recording that has just been played; return whether a sum saturated."""
        return self._end(Command.LEARN, label)

    def update(self) -> bool:
        """Turn gradients into steps; return False, since nothing saturates here."""
        return self._end(Command.UPDATE, 0)

    def _end(self, op: Command, channel: int) -> bool:
        if op not in ports.commands(self.chip):
            raise ValueError(f"{self.name}: the chip is built without learning")
        one = np.ones(1, np.int64)
        return bool(self._play(op * one, channel * one, 0 * one)[-1, 3])

    def _play(self, op: Integers, channel: Integers, count: Integers) -> Integers:
        """Send commands, and return all results: int64[results, 4], op, index, value, saturated.

        Results are taken only when the chip has no more room, or everything is sent.
        """
        words = command_words(self.chip, op, channel, count)
        ends = int(np.isin(op, (Command.TICK, Command.LEARN, Command.UPDATE)).sum())
        beats = self._command.beats
        each = WORDS // beats
        at = empty = 0
        parts: list[Integers] = []
        while at < len(words) or ends:
            found = self._take()
            parts += [found] if len(found) else []
            ends -= int((found[:, 0] == Result.END).sum()) if len(found) else 0
            before = at
            while at < len(words):
                block = words[at : at + each].ravel()
                took = self.write(self._at["command"], block, span=beats)
                at += took // beats
                if took < len(block):
                    break
            empty = 0 if len(found) or at > before else empty + 1
            if empty > PATIENCE:
                raise OSError(f"{self.name}: the chip does not come to an end; reset the board")
        return np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)

    def _take(self) -> Integers:
        """Take all results that wait, int64[results, 4]."""
        beats = self._result.beats
        most = WORDS // beats * beats
        words: list[int] = []
        while True:
            part = self.read(self._at["result"], most, span=beats)
            words += part
            if len(part) < most:
                break
        rows = np.array(words, np.uint32).reshape(-1, beats)
        layout = replace(self._result, words=len(rows))
        return np.column_stack([column[:, 0] for column in numbers(layout, rows).values()])


def _blocks(image: Image) -> dict[int, Words]:
    """Return what is written by first address; where a word has no beat, a 0 changes nothing."""
    base, registers = addresses(image.chip), controls(image)
    values = [registers[field.name] for field in control(image.chip)]
    blocks = {base["control"]: np.array(values, np.uint32)}
    packed = contents(image)
    for memory in memories(image.chip):
        if not memory.state:
            padded = np.zeros((len(packed[memory.name]), memory.stride), np.uint32)
            padded[:, : memory.beats] = packed[memory.name]
            blocks[base[memory.name]] = padded.ravel()
    return blocks
