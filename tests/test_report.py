"""The report: complete, the same for the same figures, and closed to the outside."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from datapath import Compare, Leak, Rounding
from model import Delay, Input, Lif, Network, Projection, Readout
from quant import Options, quantize
from quant.compare import compare
from quant.cost import memory_bits
from quant.evaluate import evaluate
from quant.findings import findings
from quant.report import page, write_report

OPTIONS = Options(
    weight_bits=5,
    delay_bits=2,
    coefficient_bits=5,
    membrane_bits=14,
    bias_bits=8,
    count_bits=3,
    scale_bits=2,
    lanes=2,
    leak=Leak.MULTIPLY,
    rounding=Rounding.NEAREST,
    compare=Compare.GE,
    resolution=0,
)
HOSTILE = "<script>alert('h')</script>".replace("/", "|")


@pytest.fixture(scope="module")
def found():
    """Figures of a small random network of which one population has a hostile name."""
    rng = np.random.default_rng(8)
    network = Network(
        2.0,
        30,
        (
            Input("in", 6, 6),
            Lif(HOSTILE, 9, 0.9, 1.0, 0.01),
            Readout("out", 3, 0.95, 0.0),
        ),
        (
            Projection(
                "first", "in", HOSTILE, rng.normal(0, 0.4, (9, 6)), Delay.AXONAL, np.arange(6), 9
            ),
            Projection("back", HOSTILE, HOSTILE, rng.normal(0, 0.1, (9, 9)), Delay.NONE, 2.0, 9),
            Projection("last", HOSTILE, "out", rng.normal(0, 1, (3, 9)), Delay.NONE, 0.0, 0),
        ),
        ("one", "two", "<b>"),
        {"seed": 8},
    )
    counts = rng.poisson(0.4, (12, 30, 6)).clip(max=7)
    labels = rng.integers(0, 3, 12)
    image, loss = quantize(network, chip=None, options=OPTIONS, calibration=counts)
    evaluation = evaluate(network, image, counts, labels)
    comparison = compare(network, image, loss, counts)
    figures = findings(
        network,
        image,
        loss,
        evaluation,
        comparison,
        counts[0],
        title="Small & <odd>",
        provenance={"data": "random"},
    )
    return figures, image, evaluation


@pytest.fixture(scope="module")
def text(found):
    """Return the page of those figures."""
    return page(found[0])


def test_figures_are_those_of_the_rooms(found):
    figures, image, evaluation = found
    assert figures["accuracy"]["chip"] == evaluation.chip_accuracy
    assert figures["accuracy"]["recordings"] == 12
    assert figures["memory"]["bits"] == memory_bits(image.chip).bits
    assert sum(figures["memory"]["groups"].values()) == figures["memory"]["bits"]
    assert np.sum(figures["confusion"]["chip"]) == 12
    assert figures["provenance"] == {"seed": "8", "data": "random"}
    assert figures["chip"]["synapse.weight"] == "5 bits signed"
    assert figures["chip"]["lif.coefficient"] == "5 bits unsigned, 4 of them fraction"


def test_histograms_hold_every_number_once(found):
    for projection in found[0]["projections"]:
        weights, delays = projection["weight_histogram"], projection["delay_histogram"]
        assert sum(weights["float"]) == sum(weights["chip"]) == projection["weights"]
        assert sum(delays["float"]) == sum(delays["chip"]) == projection["delays"]


def test_the_page_says_what_the_figures_say(found, text):
    _, image, evaluation = found
    for said in (
        f"{100 * evaluation.float_accuracy:.2f} %",
        f"{100 * evaluation.chip_accuracy:.2f} %",
        f"{memory_bits(image.chip).bits:,} bits",
        "back: the constant delay of 2 steps is held as axonal delays, one per source.",
        "none, held as axonal",
    ):
        assert said in text


def test_what_was_clamped_is_listed(text):
    # Delays 0 to 5, in two bits of one step each.
    assert "first: delays clamped, steps" in text
    assert "<tr><td>5</td><td>5</td><td>3</td></tr>" in text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(text):
    assert "http" not in text
    assert "<script" not in text
    assert "<link" not in text
    pictures = re.findall(r'src="([^"]*)"', text)
    assert len(pictures) >= 10
    for picture in pictures:
        assert picture.startswith("data:image/svg+xml;base64,")
        drawn = base64.b64decode(picture.partition(",")[2]).decode()
        assert not re.findall(r'href="(?!#|data:)', drawn)
    assert "Small &amp; &lt;odd&gt;" in text


def test_both_files_are_written_and_are_the_same_every_time(found, text, tmp_path):
    html, data = write_report(found[0], tmp_path / "a.html")
    assert html.read_text(encoding="utf-8") == text
    # The JSON is all that the page is made of.
    figures = json.loads(data.read_text(encoding="utf-8"))
    again, twice = write_report(figures, tmp_path / "b.html")
    assert html.read_bytes() == again.read_bytes()
    assert data.read_bytes() == twice.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.json", "b.html", "b.json"]


def test_a_file_that_cannot_be_written_is_named(found, tmp_path):
    with pytest.raises(OSError, match=r"nowhere/a\.html: cannot be written: No such file"):
        write_report(found[0], tmp_path / "nowhere" / "a.html")
    with pytest.raises(ValueError, match=r"a\.pdf: a report must be called \*\.html"):
        write_report(found[0], tmp_path / "a.pdf")


def test_a_leak_without_end_is_written_as_infinite(found):
    figures = found[0]
    population = {**figures["populations"][0], "tau_ms": [None, None], "headroom": None}
    text = page({**figures, "populations": [population, *figures["populations"][1:]]})
    assert "<td>infinite</td>" in text


def test_a_network_without_hidden_neurons_has_a_report(tmp_path):
    network = Network(
        1.0,
        4,
        (Input("in", 2, 2), Readout("out", 2, 1.0, 0.0)),
        (Projection("p", "in", "out", np.eye(2), Delay.NONE, 0.0, 0),),
    )
    counts = np.ones((2, 4, 2), np.int64)
    image, loss = quantize(network, chip=None, options=replace(OPTIONS, lanes=1), calibration=None)
    evaluation = evaluate(network, image, counts, np.array([0, 1]))
    comparison = compare(network, image, loss, counts)
    figures = findings(
        network, image, loss, evaluation, comparison, counts[0], title="t", provenance={}
    )
    html, _ = write_report(figures, tmp_path / "r.html")
    assert "50.00 %" in html.read_text(encoding="utf-8")
