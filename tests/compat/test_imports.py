"""A module of latom.compat does not import its host, but where one of the host's classes is subclassed."""

from __future__ import annotations

import subprocess
import sys


def test_hosts_are_not_imported():
    code = (
        "import sys, latom.compat.faiss, latom.compat.fastkmeans, latom.compat.turftopic\n"
        "import latom.compat.sentence_transformers\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {
        "faiss",
        "fastkmeans",
        "jax",
        "sentence_transformers",
        "torch",
        "triton",
        "turftopic",
    }
