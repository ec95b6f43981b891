"""What a block holds and does not show: an induction needs to know it."""

from amaranth.hdl import Fragment, Module


def inside(m: Module, name: str, component) -> Fragment:
    """Add `component` to `m` as submodule `name`; return what was built."""
    built = Fragment.get(component, None)
    m.submodules[name] = built
    return built


def driven(built: Fragment):
    """Return what a module drives, but not what its submodules do, by name."""
    statements = (one for domain in built.statements.values() for one in domain)
    return {one.name: one for statement in statements for one in statement._lhs_signals()}


def states(built: Fragment):
    """Return the state of the machine of a module, and the numbers of its states by name."""
    machine = built.find_generated("fsm")
    return machine.state, dict(machine.encoding)
