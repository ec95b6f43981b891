"""How it is trained: on-line three-factor learning of weights and delays.

Imports model and events, no other room.
"""

from learn.delgrad import DelGrad, train_delgrad
from learn.eventprop import EventProp, Objective, train_eventprop
from learn.examples import Examples
from learn.grids import Grid, Grids
from learn.initial import make_first_spike_network, make_network
from learn.rule import Eligibility, ErrorKind, Feedback, Optimizer, Rule, Taps
from learn.three_factor import classify, train
from learn.training import Epoch, Result

__all__ = [
    "DelGrad",
    "Eligibility",
    "Epoch",
    "ErrorKind",
    "EventProp",
    "Examples",
    "Feedback",
    "Grid",
    "Grids",
    "Objective",
    "Optimizer",
    "Result",
    "Rule",
    "Taps",
    "classify",
    "make_first_spike_network",
    "make_network",
    "train",
    "train_delgrad",
    "train_eventprop",
]
