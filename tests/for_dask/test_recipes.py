"""The recipes for Ray Data and Spark, where these are installed: labels of one machine."""

from __future__ import annotations

import numpy as np
import pytest

import latom

N = 300


def data():
    X = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
    return X, X[:9].copy()


def test_ray_data():
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    X, centers = data()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        rows = ray.data.from_items([{"row": i, "x": x} for i, x in enumerate(X)])
        labeled = rows.map_batches(
            lambda b: b | {"label": latom.assign(b["x"], centers)[0]}, batch_format="numpy", batch_size=70
        )
        found = sorted((r["row"], r["label"]) for r in labeled.take_all())
    finally:
        ray.shutdown()
    assert [label for _, label in found] == latom.assign(X, centers)[0].tolist()


def test_spark():
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    sql = pytest.importorskip("pyspark.sql")
    X, centers = data()
    session = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        df = session.createDataFrame([(i, x.tolist()) for i, x in enumerate(X)], "row int, x array<float>")
        df = df.repartition(3)
        labeled = df.mapInPandas(
            lambda parts: (
                p.assign(label=latom.assign(np.stack(p.x).astype(np.float32), centers)[0]) for p in parts
            ),
            "row int, x array<float>, label int",
        )
        found = sorted((r["row"], r["label"]) for r in labeled.collect())
    finally:
        session.stop()
    assert [label for _, label in found] == latom.assign(X, centers)[0].tolist()
