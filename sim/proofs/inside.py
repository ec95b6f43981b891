"""What a block holds and does not show: an induction needs to know it."""

from amaranth.hdl import Fragment, Module


def inside(m: Module, name: str, component) -> Fragment:
    """Add `component` to `m` as submodule `name`; return what was built."""
    built = Fragment.get(component, None)
    m.submodules[name] = built
    return built


def registers(built: Fragment):
    """Return the registers of a module, but not those of its submodules, by name."""
    written = (one for statement in built.statements["sync"] for one in statement._lhs_signals())
    return {one.name: one for one in written}


def states(built: Fragment):
    """Return the state of the machine of a module, and the numbers of its states by name."""
    machine = built.find_generated("fsm")
    return machine.state, dict(machine.encoding)
