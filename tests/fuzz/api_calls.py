"""The public calls that the API fuzzer makes, by family."""

from __future__ import annotations

import calls_cluster
import calls_codes
import calls_encode
import calls_factorize
import calls_groups
import calls_neighbors
import calls_observed
import calls_seed
import calls_spectral

_FAMILIES = (
    calls_seed,
    calls_cluster,
    calls_groups,
    calls_encode,
    calls_codes,
    calls_neighbors,
    calls_factorize,
    calls_observed,
    calls_spectral,
)
CALLS = {name: make for family in _FAMILIES for name, make in family.CALLS.items()}
