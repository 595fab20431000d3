"""Small made-up data for the programs: blurred patterns of ten classes, as images of 12 by 12."""

import numpy

SIDE = 12


def make(count, seed, classes=10):
    """Return images, one a row, and their classes."""
    rng = numpy.random.RandomState(seed)
    patterns = numpy.random.RandomState(1).uniform(0, 1, (classes, SIDE * SIDE)) > 0.6
    labels = rng.randint(0, classes, count)
    images = 0.7 * patterns[labels] + rng.uniform(0, 0.3, (count, SIDE * SIDE))
    return images, labels


def splits(train=300, valid=100, test=100):
    """Return three pairs of images and classes."""
    return [make(train, 10), make(valid, 11), make(test, 12)]
