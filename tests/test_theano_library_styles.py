"""Programs of the kinds that were written for Theano: tutorials, libraries, tests. Each checks itself."""

from __future__ import annotations

import importlib
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symgrad.compat.theano_names.activation import activated

PROGRAMS = Path(__file__).with_name("programs")


@pytest.fixture(autouse=True)
def _theano() -> Iterator[None]:
    with activated(floatX="float64"):
        sys.path.insert(0, str(PROGRAMS))
        before = set(sys.modules)
        try:
            yield
        finally:
            sys.path.remove(str(PROGRAMS))
            for name in set(sys.modules) - before:  # programs hold on to the names of this activation
                if str(PROGRAMS) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]


def load(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize(
    "name",
    [
        "contractive_autoencoder", "stacked_autoencoders", "boltzmann_machine", "deep_belief_network", "sentiment_lstm",
        "slot_filling_elman", "recurrent_boltzmann_machine", "hybrid_monte_carlo", "layer_library", "backend_of_layers",
        "probability_models", "graph_annotations", "image_programs", "attention_translation", "generative_models",
    ],
)  # fmt: skip
def test_a_program_does_what_it_says(name: str) -> None:
    load(name).main()


def test_autoencoders_take_the_other_random_numbers_too() -> None:
    load("stacked_autoencoders").main(mrg=True)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_the_lstm_learns_with_other_optimizers(optimizer: str) -> None:
    program = load("sentiment_lstm")
    program.main(optimizer=getattr(program, optimizer), lrate=0.5, max_epochs=8, use_dropout=False)


@pytest.mark.parametrize("subject", ["tensors", "scan", "functions", "indexing", "layers"])
def test_unit_tests_pass(subject: str) -> None:
    suite = unittest.TestLoader().loadTestsFromModule(load(f"checks_of_{subject}"))
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun > 15
    assert not result.failures + result.errors, "\n\n".join(text for _, text in result.failures + result.errors)


def test_what_theano_means_ends_with_the_block() -> None:
    import symgrad
    import symgrad.tensor as T

    x, values = T.vector("x"), symgrad.shared([1.0, 2.0], name="values")
    assert bool(x)  # Theano: the variable is there
    with pytest.raises(IndexError, match="out of bounds"):
        symgrad.function([], values[5])()  # not before the call
    with activated():
        pass
    assert bool(x)
    with pytest.raises(TypeError, match="boolean"):
        bool(x < 1)


def test_symgrads_own_meaning_of_truth_and_sizes(request: pytest.FixtureRequest) -> None:
    import symgrad
    import symgrad.tensor as T
    from symgrad.compat.theano_names.meanings import set_meanings

    set_meanings(of_theano=False)
    request.addfinalizer(lambda: set_meanings(of_theano=True))
    with pytest.raises(TypeError, match="boolean"):
        bool(T.vector())
    with pytest.raises(IndexError, match="out of bounds"):
        symgrad.shared([1.0, 2.0])[5]
