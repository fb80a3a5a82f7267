"""Activity against naturalness: which runs no other beats."""

import re

import numpy as np
import pandas as pd

from diffusion_bert.figures.pareto import draw_pareto, pareto_front


def test_the_front_is_what_brute_force_finds():
    points = np.random.default_rng(1).integers(0, 6, (40, 2)).tolist()
    kept = [i for i, (x, y) in enumerate(points) if not any(a <= x and b <= y and (a < x or b < y) for a, b in points)]
    front = pareto_front([tuple(point) for point in points])
    assert sorted(front) == kept
    assert [points[i][0] for i in front] == sorted(points[i][0] for i in front)


def test_runs_references_and_the_reason_for_an_empty_picture_are_drawn(tmp_path):
    rows = [
        (model, "s", metric, "all", kind, value + shift, value - 0.1, value + 0.1)
        for model, shift in (("a", 0.0), ("b", 0.2))
        for metric, value in (("oracle_activity", 1.0), ("discrimination_gapped_auroc", 0.6))
        for kind in ("generated", "ceiling", "markov")
    ]
    frame = pd.DataFrame(rows, columns=["model", "sampler", "metric", "label", "set", "value", "ci_low", "ci_high"])
    draw_pareto(frame, tmp_path / "a.svg")
    text = re.findall(r">([^<>]+)</text>", (tmp_path / "a.svg").read_text())
    assert {"a / s", "b / s", "held-out real", "Markov chain"} <= set(text)
    draw_pareto(frame[frame["metric"] == "oracle_activity"], tmp_path / "b.svg")
    assert "No run has both" in (tmp_path / "b.svg").read_text()
