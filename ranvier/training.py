"""The rules by which float networks are trained, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from learn import Result

RULES = ("three-factor", "eventprop", "delgrad", "surrogate")

Kind = TypeVar("Kind")


def trainer_of(
    rule: str, choices: Mapping[str, Any], how: Mapping[str, Any] | None = None
) -> Callable[..., Result]:
    """Return the function that trains by `rule`.

    choices : fields of the rule that are not to be its defaults.  how : device and threads of
    `surrogate`.

    Raises
    ------
    ValueError
        There is no such rule, it has no such choice, a value is impossible, or PyTorch is needed
        and is not there.
    """
    from learn import DelGrad, EventProp, Rule, train, train_delgrad, train_eventprop
    from learn.surrogate import Surrogate

    if rule == "three-factor":
        return partial(train, rule=_chosen(Rule, rule, choices))
    if rule == "eventprop":
        return partial(train_eventprop, rule=_chosen(EventProp, rule, choices))
    if rule == "delgrad":
        return partial(train_delgrad, rule=_chosen(DelGrad, rule, choices))
    if rule != "surrogate":
        raise ValueError(f"rule must be one of {', '.join(RULES)}, not {rule!r}")
    chosen = _chosen(Surrogate, rule, choices)
    try:
        from learn.surrogate.train import train_surrogate
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError(
            "the rule surrogate needs PyTorch: install it, as by pip install 'ranvier[torch]'"
        ) from None
    return partial(train_surrogate, rule=chosen, **(how or {}))


def _chosen(kind: type[Kind], rule: str, choices: Mapping[str, Any]) -> Kind:
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for choice in choices:
        if choice not in known:
            raise ValueError(f"{rule} has no choice {choice!r}; there are {', '.join(known)}")
    try:
        return kind(**choices)
    except TypeError:
        raise ValueError(f"{rule}: a choice is of the wrong type in {dict(choices)}") from None
