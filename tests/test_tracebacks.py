"""An uncaught error ends on the user's line; symgrad's own frames show only when asked for."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np, symgrad, symgrad.tensor as T
x = T.matrix('x')
def build():
    return T.dot(x.reshape((10, 784)), symgrad.shared(np.zeros((256, 30), 'float32'), name='w'))
build()
"""

CALL = """
import numpy as np, symgrad, symgrad.tensor as T
x, i = T.matrix('x'), T.lscalar('i')
picked = x[i]
f = symgrad.function([x, i], picked * 2)
f(np.zeros((2, 3), 'float32'), 5)
"""


def run(program, tmp_path, **environment):
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("program", [PROGRAM, CALL])
def test_internal_frames_are_hidden(program, tmp_path):
    text = run(program, tmp_path)
    assert 'program.py", line' in text
    assert f"{os.sep}symgrad{os.sep}" not in text and "<symgrad program" not in text


@pytest.mark.parametrize("program", [PROGRAM, CALL])
def test_internal_frames_show_when_asked_for(program, tmp_path):
    text = run(program, tmp_path, SYMGRAD_FLAGS="exception_verbosity=high")
    assert f"{os.sep}symgrad{os.sep}" in text


def test_the_error_reads_as_the_manual_says(tmp_path):
    text = run(PROGRAM, tmp_path)
    assert "ShapeError: dot needs matching inner sizes, got 784 and 256" in text
    assert "program.py:5   return T.dot(x.reshape((10, 784))" in text
    assert "x.reshape((10, 784))" in text and "float32 (256, 30)" in text and "shared, created at" in text
