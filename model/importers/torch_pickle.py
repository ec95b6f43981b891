"""A machine for the pickles that torch.save writes: it builds plain values and calls nothing.

A pickle is a program.  This machine knows the instructions that torch uses, and leaves to its owner
what a persistent id and a call mean.  A class or function is only a `Name`; an object of a class is
a `Stub`, a bag of what the file says about it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: Mapping[str, type] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set,
}  # fmt: skip
VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
TUPLES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PLAIN = (str, int, float, bytes, type(None))
"""Types of keys.  Tuples are none: one nested a million deep ends the process that hashes it."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function, by its dotted name."""

    text: str


@dataclass(slots=True, eq=False)
class Stub:
    """An object of a class that nobody imports.

    kind : the dotted name of the class, or of what was called.  state : what it was built with.
    """

    kind: str
    arguments: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)


class Machine:
    """Runs one pickle.

    persistent : what a persistent id stands for.  call : what calling a name gives.
    """

    def __init__(
        self,
        path: Path,
        persistent: Callable[[object], object],
        call: Callable[[Name, tuple[Any, ...]], object],
    ) -> None:
        self.path, self.persistent, self.call = path, persistent, call
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self, program: bytes) -> object:
        """Return what `program` builds.

        Raises
        ------
        ValueError
            It is damaged, or wants something that torch.save does not write.
        """
        try:
            for instruction, argument, _ in pickletools.genops(program):
                if instruction.name == "STOP":
                    return self.stack.pop()
                self._do(instruction.name, argument)
        except (IndexError, KeyError, TypeError, AttributeError):
            raise self._damaged("ends in the middle, or was put together by hand") from None
        except ValueError as error:
            if str(error).startswith(str(self.path)):
                raise
            raise self._damaged("is damaged") from None
        raise AssertionError("genops ends with STOP")

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.path}: its pickle {what}: save the network again")

    def _do(self, name: str, argument: Any) -> None:
        """Execute one instruction."""
        stack = self.stack
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in VALUES:
            stack.append(argument)
        elif name in TUPLES:
            stack.append(tuple(self._pop(TUPLES[name])))
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME"):
            self._build(name, argument)

    def _build(self, name: str, argument: Any) -> None:
        """Execute an instruction that makes or changes an object."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(Name(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            module, member = self._pop(2)
            if not isinstance(module, str) or not isinstance(member, str):
                raise TypeError
            stack.append(Name(f"{module}.{member}"))
        elif name in ("REDUCE", "NEWOBJ"):
            known, arguments = self._pop(2)
            if not isinstance(known, Name) or not isinstance(arguments, tuple):
                raise TypeError
            stub = Stub(known.text, arguments)
            stack.append(self.call(known, arguments) if name == "REDUCE" else stub)
        elif name == "BINPERSID":
            stack.append(self.persistent(stack.pop()))
        elif name == "BUILD":
            (state,) = self._pop(1)
            self._state(stack[-1], state)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop(2) if name == "SETITEM" else self._marked()
            self._set_items(stack[-1], items)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = self._pop(1) if name == "APPEND" else self._marked()
            self._extend(stack[-1], items)
        else:
            raise ValueError(
                f"{self.path}: its pickle uses {name}, which torch.save does not write: save a "
                "state_dict() instead"
            )

    def _pop(self, count: int) -> list[Any]:
        low = self.marks[-1] if self.marks else 0
        if len(self.stack) - low < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _marked(self) -> list[Any]:
        """Take everything above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    @staticmethod
    def _state(target: object, state: object) -> None:
        if isinstance(target, Stub) and isinstance(state, dict):
            target.state.update(state)
        elif not isinstance(target, Stub | dict):
            # Of a dict it is the versions of modules, which nobody needs.
            raise TypeError

    @staticmethod
    def _set_items(target: object, items: list[Any]) -> None:
        keys = items[::2]
        if not isinstance(target, dict | Stub) or not all(isinstance(k, PLAIN) for k in keys):
            raise TypeError
        if isinstance(target, dict):
            target.update(zip(keys, items[1::2], strict=True))

    @staticmethod
    def _extend(target: object, items: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set) and all(isinstance(item, PLAIN) for item in items):
            target.update(items)
        elif not isinstance(target, Stub):
            raise TypeError
