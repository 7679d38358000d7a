"""The benchmarks: what a measured process inherits, who is the fastest peer, and that the scripts run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
FOREIGN = {
    "OPENBLAS_CORETYPE": "Prescott",
    "OPENBLAS_MAIN_FREE": "1",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_PROC_BIND": "true",
    "LATOM_ISA": "baseline",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}

if not BENCHMARKS.exists():
    pytest.skip("the benchmarks are not here", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def path() -> Iterator[None]:
    """The benchmarks are no package: their files import each other by name."""
    names = {file.stem for file in BENCHMARKS.glob("[!t]*.py")} | {"tasks", "peers"}  # no test's
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in [name for name in sys.modules if name.partition(".")[0] in names - {"conftest"}]:
        del sys.modules[name]


def module(name: str) -> Any:
    return importlib.import_module(name)


def entry(library: str, seconds: float, score: float = 1.0, **more: Any) -> dict[str, Any]:
    """A measured top-k case."""
    common = {"task": "topk", "series": "random", "corpus": "rows", "n": 64, "d": 8, "nnz": 512, "m": 16}
    about = {"k": 4, "metric": "dot", "threads": 2, "how": "calls", "rounds": 3, "passes": 1, "n_iter": 1}
    found = {"score_name": "recall", "score_format": ".4f", "score": {"1": score}, "operations": 1e6}
    own = {"library": library, "distribution": library.partition("-")[0], "version": "1", "note": ""}
    times = {"fit_seconds": seconds, "seconds_per_iteration": seconds, "memory": 0}
    return common | about | found | own | times | more


SETUP = {
    **dict.fromkeys(("instructions", "date", "system", "python", "numpy", "scipy"), "x"),
    "machine": "Some CPU",
    "memory": 2**30,
    "block": 0.2,
    "environment": {"OPENBLAS_CORETYPE": "Haswell"},
}


def test_a_process_inherits_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LATOM_DATA", "/data")
    machine = module("machine")
    found = machine.environment(3, {"OPENBLAS_CORETYPE": "Haswell"})
    assert found["OPENBLAS_CORETYPE"] == "Haswell"
    assert found["LATOM_DATA"] == "/data"
    assert {found[name] for name in machine.THREAD_VARIABLES} == {"3"}
    assert not set(FOREIGN) - {"OPENBLAS_CORETYPE"} & set(found)
    assert set(found) <= {*machine.INHERITED, *machine.THREAD_VARIABLES, "OPENBLAS_CORETYPE"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc")
@pytest.mark.parametrize("own", [{}, {"OPENBLAS_CORETYPE": "Haswell"}], ids=["installed", "tuned"])
def test_a_worker_has_the_environment_of_its_library(
    own: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    runner = module("runner")
    codes = sp.csr_array(np.eye(3, dtype=np.float32))
    module("data").save({"codes": codes, "atoms": np.ones((3, 2), np.float32)}, tmp_path)
    with runner.Worker("decode", "scipy", tmp_path, 1, own) as worker:
        parts = Path(f"/proc/{worker._process.pid}/environ").read_bytes().split(b"\0")
        found = dict(part.decode().split("=", 1) for part in parts if part)
        assert worker.fit(1, 60.0).n_iter == 1
    assert {name: found[name] for name in FOREIGN if name in found} == own


def test_a_missing_library_is_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("sparsekmeans") is not None:
        pytest.skip("it is installed")
    runner = module("runner")
    with (
        pytest.raises(runner.NotMeasured, match=r"^not installed: No module named 'sparsekmeans'"),
        runner.Worker("sparse_kmeans", "sparsekmeans", tmp_path, 1),
    ):
        pass


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"avx2", "avx512f"}, "SkylakeX"), ({"avx2"}, "Haswell"), ({"asimd"}, ""), (set(), "")],
)
def test_core_type(flags: set[str], wanted: str) -> None:
    assert module("machine").core_type(frozenset(flags)) == wanted


def test_tuned_peers_stand_beside_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    base, kmeans = module("peers.base"), module("peers.kmeans")
    monkeypatch.setattr(base, "blas_variables", lambda: {"OPENBLAS_CORETYPE": "Haswell"})
    installed, tuned = base.tuned(kmeans.Faiss())
    assert (installed.name, dict(installed.environment)) == ("faiss", {})
    assert (tuned.name, tuned.environment) == ("faiss-tuned", {"OPENBLAS_CORETYPE": "Haswell"})
    assert "Haswell" in tuned.note
    assert "Haswell" not in installed.note
    monkeypatch.setattr(base, "blas_variables", dict)
    assert [peer.name for peer in base.tuned(kmeans.Faiss())] == ["faiss"]


def test_each_library_with_openblas_has_its_best_setting() -> None:
    if not module("machine").blas_variables():
        pytest.skip("nothing to choose on this CPU")
    for task in module("tasks").TASKS.values():
        if task.peers is module("peers").SPARSE_KMEANS:
            continue  # no products of dense matrices there
        settings: dict[str, set[bool]] = {}
        for peer in task.peers.values():
            if peer.distribution in ("numpy", "faiss-cpu", "scikit-learn", "superkmeans"):
                settings.setdefault(peer.distribution, set()).add("OPENBLAS_CORETYPE" in peer.environment)
        assert all(found == {False, True} for found in settings.values()), settings


def test_speeds_are_relative_to_the_best_setting_with_as_good_an_answer() -> None:
    cells, report = module("report_cells"), module("report")
    case = [
        entry("latom", 1.0),
        entry("faiss", 5.0),
        entry("faiss-tuned", 3.0),
        entry("torch-bfloat16", 2.0, score=0.98),
        entry("numpy", 4.0, score=0.9995),
        entry("hnsw", 0.5, sample=True),
        entry("scann", 0.0, reason="not installed"),
    ]
    assert cells.fastest_peer(case)["library"] == "faiss-tuned"
    assert {e["library"]: cells.seconds(e) for e in cells.best_settings(case)} == {
        "latom": 1.0,
        "faiss": 3.0,
        "numpy": 4.0,
    }
    text = report.table(case, SETUP)
    lines = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    rows = {cells[1].strip(): cells for cells in lines}
    assert rows["**latom**"][3].strip() == "3.00"
    assert rows["torch-bfloat16"][3].strip() == "1.50 †"
    assert rows["hnsw"][3].strip() == "6.00 †"
    assert "not installed" in text
    assert "† an answer that is not as good, or of a sample of the rows" in text
    assert "OPENBLAS_CORETYPE=Haswell" in text
    without = [e for e in case if e["library"] not in ("torch-bfloat16", "hnsw")]
    assert "†" not in report.table(without, SETUP)


def test_families_that_count_no_operations_have_pages_too() -> None:
    case = [entry("latom", 1.0, task="neighbors"), entry("scikit-learn", 5.0, task="neighbors")]
    for e in case:
        del e["operations"]
    text = module("report").table(case, SETUP)
    assert "GF/s" not in text
    assert "| **latom** | 1000 | 5.00 | 1.0000 |" in text, text


@pytest.mark.parametrize("change", ["inherited", "quick", "whole"])
def test_the_readme_tells_whole_results_of_processes_that_inherited_nothing(
    change: str, tmp_path: Path
) -> None:
    headlines, report = module("headlines"), module("report")
    setup = dict(SETUP) | {"quick": change == "quick"}
    if change == "inherited":
        del setup["environment"]
    cases = [entry(name, s, n=n) for n, s in ((1, 1.0), (64, 4.0)) for name in ("latom", "faiss")]
    cases[1]["seconds_per_iteration"], cases[3]["seconds_per_iteration"] = 2.0, 32.0
    results, readme = tmp_path / "results", tmp_path / "README.md"
    folder = results / report.slug(setup["machine"])
    folder.mkdir(parents=True)
    (folder / "topk.json").write_text(json.dumps({"setup": setup, "entries": cases}))
    readme.write_text(f"before\n{headlines.BEGIN}\nold\n{headlines.END}\nafter\n")
    headlines.restate(readme, results)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert ("| 2 | 2.00× | 4.00× | 8.00× | faiss |" in text) == (change == "whole")
    assert (headlines.block(results) == "") == (change != "whole")
    headlines.restate(readme, results)
    assert readme.read_text() == text


def test_the_readme_is_what_the_results_say() -> None:
    headlines = module("headlines")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = text.split(headlines.BEGIN)[1].split(headlines.END)[0]
    assert told == "\n" + headlines.block(BENCHMARKS / "results")


def test_inherited_results_are_not_merged_with_others(tmp_path: Path) -> None:
    report = module("report")
    old = {name: value for name, value in SETUP.items() if name != "environment"}
    for name, setup in (("old", old), ("new", SETUP)):
        (tmp_path / name).write_text(json.dumps({"setup": setup, "entries": [entry(name, 1.0)]}))
    entries, _ = report.read([tmp_path / "new", tmp_path / "new"])
    assert [e["library"] for e in entries] == ["new"]
    with pytest.raises(SystemExit, match="inherited an environment"):
        report.read([tmp_path / "old", tmp_path / "new"])


def test_scores() -> None:
    scores, data = module("scores"), module("data")
    X = data.one_hot(400, 3, 5, 4)
    assert X.shape == (400, 15)
    assert (X.sum(axis=1) == 3).all()
    labels = np.arange(400) % 7
    dense = X.toarray().astype(np.float64)
    means = np.stack([dense[labels == j].mean(axis=0) for j in range(7)])
    exact = ((dense - means[labels]) ** 2).sum()
    assert scores.inertia(X, labels) == pytest.approx(exact, rel=1e-12)
    assert scores.inertia(X.toarray(), labels) == pytest.approx(exact, rel=1e-12)

    rows = data.mixture(50, 4, 3)
    problem = {"X": rows, "centers": rows[:5] + 1}
    squares = ((rows[:, None].astype(np.float64) - problem["centers"][None]) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    assert scores.agreement(problem, nearest) == 1
    wrong = nearest.copy()
    wrong[:10] = squares[:10].argmax(axis=1)
    assert scores.agreement(problem, wrong) == pytest.approx(0.8)
    assert scores.distance_error(problem, np.sqrt(squares)) < 1e-15
    assert scores.distance_error(problem, np.sqrt(squares) * (1 + 1e-4)) == pytest.approx(1e-4)


@pytest.mark.parametrize("library", ["latom", "scikit-learn", "faiss", "scikit-learn-intelex"])
def test_everyday_peers(library: str) -> None:
    tasks, data = module("tasks").TASKS, module("data")
    X = data.mixture(600, 5, 4)
    problem = {"X": X, "m": np.array(4), "init": X[:4], "centers": X[:4] + np.float32(0.5)}
    for task in ("everyday_fit", "everyday_iterations", "everyday_predict", "everyday_transform"):
        peer = tasks[task].peers[library]
        try:
            peer.load()
        except ImportError:
            pytest.skip("not installed")
        score = tasks[task].score(problem, peer.prepare(problem, 1)(2).output())
        if task == "everyday_predict":
            assert score == 1
        elif task == "everyday_transform":
            assert score < 1e-3
        else:
            one = module("scores").inertia(X, np.zeros(len(X), np.int64))
            assert score < 0.8 * one


@pytest.mark.parametrize("sparse", [True, False])
def test_latom_draws_by_each_method(sparse: bool) -> None:
    tasks, data = module("tasks").TASKS, module("data")
    X = data.zipf_corpus(200, 100, 10)[0] if sparse else data.mixture(200, 5, 4)
    metric = "cosine" if sparse else "euclidean"
    problem = {"X": X, "m": np.array(6), "metric": np.array(metric)}
    ours = {name: peer for name, peer in tasks["seeding"].peers.items() if peer.distribution == "latom"}
    assert len(ours) > 5
    for peer in ours.values():
        peer.load()
        drawn = peer.prepare(problem, 1)(0).output()
        assert len(set(drawn.tolist())) == 6
        assert tasks["seeding"].score(problem, drawn) > 0


def test_a_loss_is_reached_but_for_rounding() -> None:
    losses = module("report_losses")
    case = [
        {"library": name, "reference": "torch", "losses": [[10, 1.0, 2 * end], [200, 9.0, end]]}
        for name, end in (("torch", 0.5), ("torch-tuned", 0.5 * (1 + 1e-6)), ("other", 0.5 * (1 + 1e-4)))
    ]
    found = [losses.reached(entry, losses.goal(case)) for entry in case]
    assert found == [(200, 9.0), (200, 9.0), None]


def test_default_fits_are_medians_over_seeds(tmp_path: Path) -> None:
    measure, data = module("measure"), module("data")
    problem = {"X": data.mixture(300, 3, 6), "m": np.array(5)}
    data.save(problem, tmp_path)
    case = measure.Case("everyday_fit", "default fits", tmp_path, problem, "mixture", 1)
    settings = measure.Settings(10, 20.0, 60.0, 1, 1, 1, 0.1, seeds=5)
    info: dict[str, Any] = {}

    def timed(run: Callable[[], Any], rounds: int) -> Any:
        return run()

    measure.measure(timed, info, case, "latom", settings, measure.Ledger())
    latom = importlib.import_module("latom")
    models = [latom.KMeans(5, random_state=seed).fit(problem["X"]) for seed in range(5)]
    costs = [module("scores").inertia(problem["X"], model.labels_) for model in models]
    assert len(set(costs)) > 1
    assert info["score"]["1"] == pytest.approx(np.median(costs), rel=1e-12)
    assert info["n_iter"] == np.median([model.n_iter_ for model in models])
    assert (info["how"], info["rounds"], info["m"]) == ("seeds", 5, 5)
    assert info["fit_seconds"] > 0


@pytest.mark.parametrize("script", ["bounds", "identity"])
def test_scripts_run(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = module(script)
    X, _ = module("data").zipf_corpus(300, 200, 10)
    monkeypatch.setattr(found, "sparse_corpus", lambda: module("data").Corpus("small", X))
    options = {
        "bounds": ["--clusters", "12", "--iterations", "2", "--rounds", "1", "--output", str(tmp_path)],
        "identity": ["--clusters", "12", "--iterations", "2", "--plain"],
    }[script]
    monkeypatch.setattr(sys, "argv", [script, *options])
    assert not found.main()
    printed = capsys.readouterr().out
    if script == "identity":
        assert printed.rstrip().endswith("identical")
    else:
        digests = {line.split("`")[1] for line in printed.splitlines() if "`" in line}
        assert len(digests) == 1
        assert (tmp_path / "bounds.md").read_text().count("| 12 |") == len(found.SWITCHES)


def test_serial_shares(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = module("serial_share")
    data = module("data")
    monkeypatch.setattr(found, "sparse_corpus", lambda: data.Corpus("s", data.zipf_corpus(400, 300, 10)[0]))
    monkeypatch.setattr(
        found, "dense_corpus", lambda: data.Corpus("d", data.generated_embeddings(500, 80, 9))
    )
    monkeypatch.setattr(found, "SIZE", 0.02)
    monkeypatch.setattr(sys, "argv", ["serial_share", "--rounds", "1", "--output", str(tmp_path)])
    assert not found.main()
    lines = (tmp_path / "serial_share.md").read_text().splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ")][2:]
    assert len(rows) == len(found.cases(*found.corpora()))
    for _, seconds, loops, share, speedup in rows:
        assert float(seconds) > 0
        assert int(loops) > 0
        assert 0 <= float(share.rstrip("% ")) <= 100
        assert 0.9 < float(speedup) <= 64


def test_cases_are_found() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider"]
    every = [
        subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
        for options in ([], ["--quick"])
    ]
    assert [run.returncode for run in every] == [0, 0], every[0].stdout + every[0].stderr
    whole, quick = ([line for line in run.stdout.splitlines() if "::" in line] for run in every)
    assert set(quick) < set(whole)
    for family in ("everyday_fit", "everyday_mixture", "everyday_predict", "topk_random", "semi_nmf"):
        assert any(family in line for line in quick)
        assert sum(family in line for line in quick) < sum(family in line for line in whole)
    fits = [line for line in whole if "everyday_fit" in line and line.endswith("-latom]")]
    assert len(set(fits)) == 32
