"""Gene programs that many factorizations agree on, in cells that mix an identity with what they are doing.

    python examples/consensus_programs.py [--plot programs.png]

Consensus NMF (Kotliar et al. 2019) factorizes counts of genes in cells many times, drops components that no
other replicate has, and takes the medians of what is left. The cells here are generated, as in the paper:
each has one of ten identities, a third of those of four identities spend a part of their counts on an
activity that they share, and how many counts a cell has varies by a factor of ten.

Claims: the consensus is closer to the true programs than single factorizations are; the activity comes out as
a program of its own, and says which cells are active.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF as Peer

from latom import ConsensusNMF

IDENTITIES, ACTIVE = 10, 4
STABLE = 0.9  # a silhouette


def cells(n: int, genes: int) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """Counts [n, genes], the programs [11, genes] whose last is the activity, and each cell's share of it."""
    rng = np.random.default_rng(0)
    base = rng.lognormal(0, 1, genes)
    programs = np.tile(base, (IDENTITIES + 1, 1))
    for program in programs:
        raised = rng.choice(genes, genes // 25, replace=False)
        program[raised] *= rng.lognormal(1.5, 0.5, len(raised))
    programs /= programs.sum(axis=1, keepdims=True)
    identity = rng.integers(IDENTITIES, size=n)
    share = np.where((identity < ACTIVE) & (rng.random(n) < 1 / 3), rng.uniform(0.2, 0.7, n), 0)
    mean = (1 - share)[:, None] * programs[identity] + share[:, None] * programs[-1]
    counts = rng.poisson(rng.lognormal(5.8, 0.6, n)[:, None] * mean)
    return sp.csr_array(counts.astype(np.float32)), programs, share


def likeness(found: np.ndarray, programs: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Correlations of the true programs, in the units that were factorized, with those matched to them."""
    wanted = programs / scale
    table = np.corrcoef(wanted, found)[: len(wanted), len(wanted) :]
    rows, columns = linear_sum_assignment(-table)
    out: np.ndarray = table[rows, columns]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--plot", type=Path, metavar="FILE")
    given = parser.parse_args()
    X, programs, share = cells(given.cells, given.genes)
    total = np.asarray(X.sum(axis=1)).ravel()
    X.data *= np.repeat(np.median(total) / total, np.diff(X.indptr)).astype(np.float32)
    ranks = range(8, 15)
    begin = time.perf_counter()
    model = ConsensusNMF(ranks, n_replicates=given.replicates, random_state=0)
    model.prepare(X)
    model.factorize()
    model.combine()
    seconds = time.perf_counter() - begin
    size = f"{X.shape[0]} cells x {X.shape[1]} genes"
    print(f"{size}, {given.replicates} replicates of {len(ranks)} ranks: {seconds:.1f} s")
    begin = time.perf_counter()
    Peer(len(programs), init="random", random_state=0).fit(X)
    one = time.perf_counter() - begin
    print(
        f"  a loop of scikit-learn would take {one * given.replicates * len(ranks):.0f} s, by one of its fits"
    )
    stable = {k: model.consensus(k).silhouette_ for k in ranks}
    error = {k: model.consensus(k).reconstruction_err_ for k in ranks}
    print("  components " + "".join(f"{k:8d}" for k in ranks))
    print("  silhouette " + "".join(f"{stable[k]:8.3f}" for k in ranks))
    print("  error      " + "".join(f"{error[k]:8.1f}" for k in ranks))
    chosen = max(stable, key=lambda k: stable[k])
    largest = max((k for k in ranks if stable[k] >= STABLE), default=chosen)
    print(
        f"  planted: {len(programs)}; seen: {chosen} the most stable, {largest} the largest from {STABLE} on"
    )

    k = len(programs)
    model.consensus(k)
    scale = np.sqrt(np.asarray(X.power(2).mean(axis=0) - np.square(X.mean(axis=0))).ravel())[model.features_]
    wanted = programs[:, model.features_]
    spectra = model.spectra_[k].reshape(given.replicates, k, -1)
    single = np.array([likeness(one, wanted, scale) for one in spectra])
    ours = likeness(model.components_, wanted, scale)
    print(
        f"claim: the consensus is closer to the programs. Seen: mean correlation {ours.mean():.3f}, of single"
    )
    each = single.mean(axis=1)
    print(f"  factorizations {each.mean():.3f} ({each.min():.3f} to {each.max():.3f})")
    table = np.corrcoef(wanted / scale, model.components_)[:k, k:]
    activity = int(table[-1].argmax())
    usage = model.usages_ / model.usages_.sum(axis=1, keepdims=True)
    on, off = usage[share > 0, activity], usage[share == 0, activity]
    above = float((on[:, None] > off[None, :]).mean())
    print(f"claim: the activity is a program of its own. Seen: correlation {table[-1, activity]:.3f}; active")
    print(f"  cells rank above the others with probability {above:.3f}")
    if given.plot:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.8))
        axes[0].plot(list(stable), list(stable.values()), "o-", color="C0")
        axes[0].axvline(k, color="0.5", ls="--", lw=1)
        axes[0].set(xlabel="components", ylabel="silhouette of spectra", title=f"stability: {k} were planted")
        axes[1].plot(np.linspace(-0.2, 0.2, len(each)), each, "o", color="C0", alpha=0.6)
        axes[1].plot([1], [ours.mean()], "D", color="C1")
        axes[1].set_xticks([0, 1], [f"{given.replicates} single\nfactorizations", "consensus"])
        axes[1].set(
            ylabel="mean correlation with the programs", title="closer to what was planted", xlim=(-0.6, 1.6)
        )
        axes[2].scatter(share, usage[:, activity], s=6, alpha=0.4, color="C2")
        axes[2].set(
            xlabel="true share of the activity", ylabel="usage of its program", title="activity of each cell"
        )
        for ax in axes:
            ax.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(given.plot, dpi=130)


if __name__ == "__main__":
    main()
