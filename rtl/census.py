"""What a chip is built of, block by block: gates, sums, registers, products and memories.

They are counted in the netlist that becomes the RTL, so no change of a block can be forgotten here.
As a synthesis begins, so does the count: what constants decide is decided, equal gates and equal
registers count once, and what no output depends on does not count.
"""

from collections import Counter, defaultdict
from functools import cache
from typing import Any, NamedTuple

from amaranth.hdl import Fragment, Value
from amaranth.hdl import _nir as nir
from amaranth.hdl._ir import build_netlist
from amaranth.lib.wiring import Component

from datapath import Chip
from rtl.pins import ChipCore

GATES = ("and", "mux", "sum", "register", "captured")
"""Bits that are counted: of AND, of choices and XOR, of sums and comparisons, of registers.

Registers at a product are apart: some families have them in their multipliers.
"""


class Block(NamedTuple):
    """What a block is built of.

    gates : bits by their name in `GATES`.  products : widths of the two factors of each.
    memories : words and bits of a word of each.
    """

    gates: dict[str, int]
    products: list[tuple[int, int]]
    memories: list[tuple[int, int]]


@cache
def census(chip: Chip) -> dict[str, Block]:
    """Count what every block of `chip` is built of; `chip` is what lies between the blocks."""
    return count(ChipCore(chip))


def count(component: Component) -> dict[str, Block]:
    """Count what `component` is built of; blocks are the modules two below it."""
    ports = [Value.cast(port) for _, _, port in component.signature.flatten(component)]
    return _Reader(build_netlist(Fragment.get(component, None), ports)).count()


FALSE, TRUE = 0, 1
"""Literals: twice the number of a node, and one more for its complement. Node 0 is false."""


class _Node(NamedTuple):
    """A bit.

    kind : of `GATES`, or `product` for all of one, `result` for a bit of it, `leaf` for what comes
    from elsewhere.  block : that has it.  inputs : literals.  detail : of a register, what it holds
    at first; of a product, the widths of its factors.
    """

    kind: str
    block: str
    inputs: tuple[int, ...]
    detail: Any = None


class _Graph:
    """Bits that depend on others, each of them once."""

    def __init__(self) -> None:
        self.nodes = [_Node("leaf", "", ())]
        self.block = ""
        self._known: dict[tuple[str, tuple[int, ...]], int] = {}

    def new(self, kind: str, inputs: tuple[int, ...] = (), detail: Any = None) -> int:
        self.nodes.append(_Node(kind, self.block, inputs, detail))
        return 2 * len(self.nodes) - 2

    def _gate(self, kind: str, *inputs: int) -> int:
        key = kind, inputs
        if key not in self._known:
            self._known[key] = self.new(kind, inputs)
        return self._known[key]

    def both(self, a: int, b: int) -> int:
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        return b if a in (TRUE, b) else self._gate("and", a, b)

    def either(self, a: int, b: int) -> int:
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        turned = (a ^ b) & 1
        a, b = sorted((a & ~1, b & ~1))
        if a == b:
            return turned
        return turned ^ (b if a == FALSE else self._gate("mux", a, b))

    def choose(self, at: int, a: int, b: int) -> int:
        """Return `a` where `at` is true, else `b`."""
        if at & 1:
            at, a, b = at ^ 1, b, a
        if at == FALSE or a == b:
            return b
        if a == b ^ 1:
            return self.differ(at, b)
        a, b = {at: TRUE, at ^ 1: FALSE}.get(a, a), {at: FALSE, at ^ 1: TRUE}.get(b, b)
        if a in (FALSE, TRUE):
            return self.either(at, b) if a else self.both(at ^ 1, b)
        if b in (FALSE, TRUE):
            return self.either(at ^ 1, a) if b else self.both(at, a)
        return self._gate("mux", at, a ^ (a & 1), b ^ (a & 1)) ^ (a & 1)

    def all(self, bits: list[int]) -> int:
        while len(bits) > 1:
            pairs = [bits[n : n + 2] for n in range(0, len(bits), 2)]
            bits = [self.both(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return bits[0] if bits else TRUE

    def any(self, bits: list[int]) -> int:
        return self.all([bit ^ 1 for bit in bits]) ^ 1

    def add(self, a: list[int], b: list[int], carry: int) -> list[int]:
        """Add, `carry` being a constant; a bit that follows from the one below it is not built."""
        bits: list[int] = []
        chain = None
        for n, pair in enumerate(zip(a, b, strict=True)):
            if chain is None and carry in pair:
                # A constant that is the carry leaves both the other number and the carry alone.
                bits.append(pair[1] if pair[0] == carry else pair[0])
            elif n > 1 and pair == (a[n - 1], b[n - 1]) == (a[n - 2], b[n - 2]):
                bits.append(bits[-1])
            elif n and pair == (FALSE, FALSE) == (a[n - 1], b[n - 1]):
                bits.append(FALSE)
            else:
                chain = self._gate("sum", *sorted(pair), carry if chain is None else chain)
                bits.append(chain)
        return bits

    def below(self, a: list[int], b: list[int], signed: bool) -> int:
        """Whether `a` is less than `b`."""
        if signed:
            a, b = [*a[:-1], b[-1]], [*b[:-1], a[-1]]
        while len(a) > 1 and a[-1] == b[-1]:
            a, b = a[:-1], b[:-1]
        chain = FALSE
        for x, y in zip(a, b, strict=True):
            if chain != FALSE or x != y:
                chain = self._gate("sum", x, y ^ 1, chain)
        return chain

    def shift(self, bits: list[int], by: list[int], fill: int, stride: int) -> list[int]:
        """Shift to the right by `by` times `stride`, to the left if that is negative."""
        for n, at in enumerate(by):
            size = min(abs(stride) << n, len(bits))
            away = [fill] * size
            moved = bits[size:] + away if stride > 0 else away + bits[: len(bits) - size]
            bits = [self.choose(at, a, b) for a, b in zip(moved, bits, strict=True)]
        return bits

    def multiply(self, a: list[int], b: list[int]) -> list[int]:
        factors = _narrow(a), _narrow(b)
        product = self.new("product", (*factors[0], *factors[1]), tuple(map(len, factors)))
        width = min(len(a), sum(map(len, factors)))
        bits = [self.new("result", (product,)) for _ in range(width)]
        signed = FALSE not in (a[-1], b[-1])
        return bits + [bits[-1] if signed else FALSE] * (len(a) - width)

    def same(self) -> dict[int, int]:
        """Return what stands for every register that always holds the same as another."""
        stands: dict[int, int] = {}
        registers = [n for n, node in enumerate(self.nodes) if node.kind == "register"]
        while True:
            first: dict[Any, int] = {}
            for n in registers:
                inputs = tuple(2 * _end(stands, i >> 1) + (i & 1) for i in self.nodes[n].inputs)
                first.setdefault((inputs, self.nodes[n].detail), n)
                stands[n] = first[inputs, self.nodes[n].detail]
            if len(first) == len(registers):
                return {n: _end(stands, n) for n in stands}
            registers = list(first.values())

    def live(self, roots: list[int]) -> list[int]:
        """Return the nodes that `roots` depend on, in which equal registers are one."""
        stands = self.same()
        found: set[int] = set()
        ahead = [root >> 1 for root in roots]
        while ahead:
            n = ahead.pop()
            n = stands.get(n, n)
            if n not in found:
                found.add(n)
                ahead += [i >> 1 for i in self.nodes[n].inputs]
        return list(found)


def _end(stands: dict[int, int], n: int) -> int:
    while stands.get(n, n) != n:
        n = stands[n]
    return n


def _narrow(bits: list[int]) -> list[int]:
    """Leave out what extends a number."""
    last = len(bits)
    while last > 1 and bits[last - 1] in (FALSE, bits[last - 2]):
        last -= 1
    return bits[:last]


class _Reader:
    """Makes a graph of a netlist, as far as the outputs depend on it."""

    def __init__(self, netlist: Any) -> None:
        self.cells = netlist.cells
        self.blocks = [_block(module.name) for module in netlist.modules]
        self.graph = _Graph()
        self.literals = {FALSE: FALSE, TRUE: TRUE}
        self.ahead: list[int] = []
        self.writes: dict[int, list[Any]] = defaultdict(list)
        for cell in self.cells:
            if isinstance(cell, nir.SyncWritePort):
                self.writes[cell.memory].append(cell)
        self.roots = [self._read(net) for port in netlist.top.ports_o.values() for net in port]
        seen: set[int] = set()
        while self.ahead:
            net = self.ahead.pop()
            cell = self.cells[net >> 16]
            if isinstance(cell, nir.FlipFlop):
                self._register(net, cell)
            elif net >> 16 not in seen:
                seen.add(net >> 16)
                self._port(cell)

    def count(self) -> dict[str, Block]:
        nodes = self.graph.nodes
        live = self.graph.live(self.roots)
        gates: dict[str, Counter[str]] = defaultdict(Counter)
        found = {block: Block({}, [], []) for block in self.blocks}
        # Inputs are read as they stand: that another register is as good does not matter here.
        factors = {i >> 1 for n in live if nodes[n].kind == "product" for i in nodes[n].inputs}
        for n in live:
            kind, block, inputs, detail = nodes[n]
            if kind == "product":
                found[block].products.append(detail)
            if kind == "register" and (n in factors or nodes[inputs[0] >> 1].kind == "result"):
                kind = "captured"
            gates[block][kind] += 1
        for cell in self.cells:
            if isinstance(cell, nir.Memory):
                found[self.blocks[cell.module_idx]].memories.append((cell.depth, cell.width))
        return {
            name: block._replace(gates={kind: gates[name][kind] for kind in GATES})
            for name, block in found.items()
        }

    def _read(self, root: int) -> int:
        """Return the literal of a bit, having made what it depends on."""
        stack = [root]
        while stack:
            net = stack[-1]
            if net not in self.literals:
                missing = [n for n in self._needs(net) if n not in self.literals]
                if missing:
                    stack += missing
                    continue
                self._make(net)
            stack.pop()
        return self.literals[root]

    def _needs(self, net: int) -> list[int]:
        """Return the bits that must have been made before this one."""
        cell, bit = self.cells[net >> 16], net & 0xFFFF
        match cell:
            case nir.Operator(operator="~" | "&" | "|" | "^"):
                return [value[bit] for value in cell.inputs]
            case nir.Operator(operator="m"):
                return [cell.inputs[0][0], cell.inputs[1][bit], cell.inputs[2][bit]]
            case nir.Operator():
                return [n for value in cell.inputs for n in value]
            case nir.AssignmentList():
                steps = _steps(cell, bit)
                return [cell.default[bit], *(n for step in steps for n in step)]
            case nir.Matches():
                return list(cell.value)
            case nir.PriorityMatch():
                return [cell.en, *cell.inputs]
            case nir.Part():
                return [*cell.value, *cell.offset]
        return []

    def _make(self, net: int) -> None:
        """Make one bit, or all of its cell."""
        index, bit = net >> 16, net & 0xFFFF
        cell, graph = self.cells[index], self.graph
        graph.block = self.blocks[cell.module_idx]
        inputs = [self.literals[n] for n in self._needs(net)]
        match cell:
            case nir.Operator(operator="~"):
                made = {bit: inputs[0] ^ 1}
            case nir.Operator(operator="&"):
                made = {bit: graph.both(*inputs)}
            case nir.Operator(operator="|"):
                made = {bit: graph.either(*inputs)}
            case nir.Operator(operator="^"):
                made = {bit: graph.differ(*inputs)}
            case nir.Operator(operator="m"):
                made = {bit: graph.choose(*inputs)}
            case nir.Operator():
                values = [[self.literals[n] for n in value] for value in cell.inputs]
                made = dict(enumerate(self._operate(cell.operator, *values)))
            case nir.AssignmentList():
                at = inputs[0]
                for condition, value in zip(inputs[1::2], inputs[2::2], strict=True):
                    at = graph.choose(condition, value, at)
                made = {bit: at}
            case nir.Matches():
                # A pattern begins with its most significant bit.
                made = {bit: graph.any([self._match(inputs[::-1], p) for p in cell.patterns])}
            case nir.PriorityMatch():
                left, made = inputs[0], {}
                for n, at in enumerate(inputs[1:]):
                    made[n], left = graph.both(left, at), graph.both(left, at ^ 1)
            case nir.Part():
                width = len(cell.value)
                fill = inputs[width - 1] if cell.value_signed else FALSE
                bits = graph.shift(inputs[:width], inputs[width:], fill, cell.stride)
                made = dict(enumerate((bits + [fill] * cell.width)[: cell.width]))
            case nir.FlipFlop() if cell.data[bit] == cell.init >> bit & 1:
                made = {bit: cell.data[bit]}
            case nir.FlipFlop() | nir.SyncReadPort() | nir.AsyncReadPort():
                made = {bit: graph.new("leaf")}
                self.ahead.append(net)
            case nir.Top():
                made = {bit: graph.new("leaf")}
            case _:
                raise NotImplementedError(f"{type(cell).__name__} is not counted")
        self.literals |= {index << 16 | n: literal for n, literal in made.items()}

    def _match(self, bits: list[int], pattern: str) -> int:
        asked = zip(bits, pattern, strict=True)
        return self.graph.all([at ^ (wanted == "0") for at, wanted in asked if wanted != "-"])

    def _operate(self, operator: str, a: list[int], b: list[int] | None = None) -> list[int]:
        graph = self.graph
        if b is None:
            match operator:
                case "-":
                    return graph.add([FALSE] * len(a), [bit ^ 1 for bit in a], TRUE)
                case "b" | "r|":
                    return [graph.any(a)]
                case "r&":
                    return [graph.all(a)]
            raise NotImplementedError(f"the operator {operator} is not counted")
        match operator:
            case "+":
                return graph.add(a, b, FALSE)
            case "-":
                return graph.add(a, [bit ^ 1 for bit in b], TRUE)
            case "*":
                return graph.multiply(a, b)
            case "==" | "!=":
                equal = graph.all([graph.differ(*pair) ^ 1 for pair in zip(a, b, strict=True)])
                return [equal ^ (operator == "!=")]
            case "<<":
                return graph.shift(a, b, FALSE, -1)
            case "u>>" | "s>>":
                return graph.shift(a, b, a[-1] if operator == "s>>" else FALSE, 1)
            case "u<" | "s<":
                return [graph.below(a, b, operator == "s<")]
            case "u>" | "s>":
                return [graph.below(b, a, operator == "s>")]
            case "u<=" | "s<=":
                return [graph.below(b, a, operator == "s<=") ^ 1]
            case "u>=" | "s>=":
                return [graph.below(a, b, operator == "s>=") ^ 1]
        raise NotImplementedError(f"the operator {operator} is not counted")

    def _register(self, net: int, cell: Any) -> None:
        """Make what a register takes; that it holds or is set to a constant costs no gates."""
        graph, bit = self.graph, net & 0xFFFF
        source, steps = cell.data[bit], list[tuple[int, int]]()
        while source > TRUE and isinstance(self.cells[source >> 16], nir.AssignmentList):
            steps = _steps(self.cells[source >> 16], source & 0xFFFF) + steps
            source = self.cells[source >> 16].default[source & 0xFFFF]
        sets: list[int] = []
        holds: list[int] = []
        takes: list[int] = []
        while steps and steps[-1][1] in (FALSE, TRUE, net):
            condition, value = steps.pop()
            (holds if value == net else sets).append(self._read(condition))
        if source == net:
            takes = [self._read(condition) for condition, _ in steps]
            source = steps.pop(0)[1] if steps else FALSE
        made = self._read(source)
        read = [(self._read(condition), self._read(value)) for condition, value in steps]
        graph.block = self.blocks[cell.module_idx]
        for condition, value in read:
            made = graph.choose(condition, value, made)
        enable = graph.any(takes) if takes else TRUE
        enable = graph.all([enable, *(hold ^ 1 for hold in holds)])
        inputs = made, enable, graph.any(sets)
        node = _Node("register", graph.block, inputs, cell.init >> bit & 1)
        graph.nodes[self.literals[net] >> 1] = node

    def _port(self, cell: Any) -> None:
        """Make what a memory takes that somebody reads."""
        taken = [*cell.addr, *([cell.en] if isinstance(cell, nir.SyncReadPort) else [])]
        for write in self.writes[cell.memory]:
            taken += [*write.addr, *write.data, *write.en]
        self.roots += [self._read(net) for net in taken]


def _steps(cell: Any, bit: int) -> list[tuple[int, int]]:
    """Return the conditions and values that are assigned to one bit, the last one counting most."""
    here = [a for a in cell.assignments if a.start <= bit < a.start + len(a.value)]
    return [(a.cond, a.value[bit - a.start]) for a in here]


def _block(path: tuple[str, ...]) -> str:
    """Return the block that a module belongs to: the chip's are below its core and its top."""
    return path[2].partition("$")[0] if len(path) > 2 else "chip"
