"""Documents of three themes, and an encoder that needs no download: words as random directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

THEMES = [
    "star planet orbit moon comet galaxy",
    "gene cell protein enzyme tissue organ",
    "sonata violin opera chorus tempo chord",
]
WIDTH = 16


def documents(count: int = 90) -> tuple[list[str], np.ndarray]:
    """Documents and their themes."""
    rng = np.random.default_rng(0)
    themes = np.arange(count) % len(THEMES)
    return [" ".join(rng.choice(THEMES[theme].split(), 5)) for theme in themes], themes


def agree(labels: Any, themes: Any) -> bool:
    """Whether labels are the themes under other names."""
    pairs = set(zip(np.asarray(labels).tolist(), np.asarray(themes).tolist(), strict=True))
    return len(pairs) == len(set(themes.tolist())) == len({label for label, _ in pairs})


class StubEncoder:
    """Words point to their theme's direction, and a little to their own."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        axes = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
        self._words = {
            word: axes[theme] + 0.2 * rng.standard_normal(WIDTH) / WIDTH**0.5
            for theme, words in enumerate(THEMES)
            for word in words.split()
        }

    def encode(self, texts: Iterable[str], **_: Any) -> np.ndarray:
        """Unit vectors [n, WIDTH], float32."""
        rows = [sum(self._words[word] for word in text.split()) for text in texts]
        rows = np.array(rows, np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    embed = embed_documents = embed_words = encode
