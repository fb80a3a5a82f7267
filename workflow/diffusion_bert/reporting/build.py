"""The report: from the tables and figures of ``results/`` to one HTML file that needs nothing else."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from diffusion_bert import tables
from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.figures import style
from diffusion_bert.figures.standing import repeats
from diffusion_bert.reporting import browser, markup, strips, verdict
from diffusion_bert.reporting.inputs import Inputs, Run, read_json, read_table
from diffusion_bert.reporting.methods import guided, methods
from diffusion_bert.sampling.collapse import ALL, COLLAPSE, warnings

_HERE = Path(__file__).parent
_CAPTIONS = Path(__file__).parents[2] / "report"

# The file stays well under 10 MB: pictures of the best runs first, as far as this goes; the others are linked.
_PICTURE_BUDGET = 6_000_000

_QUESTIONS = {
    "grammar": ("Planted grammar", "Does it carry what the simulation planted?"),
    "composition": ("Composition", "Is it made of the right bases?"),
    "kmers": ("k-mers", "Are its words the right ones?"),
    "motifs": ("Motifs", "Does it carry the right motifs, in the right places?"),
    "discovery": ("Motifs discovered", "Which motifs show when none is given, and are they the real ones?"),
    "function": ("Function", "Does a judge that no generator has seen take it for what was asked for?"),
    "predictors": ("Predictors", "Do predictors made elsewhere say of it what they say of real sequences?"),
    "likelihood": ("Likelihood", "Does the model know more than a Markov chain, and does it generate what it knows?"),
    "novelty": ("Novelty", "Is it new, or copied from training?"),
    "discrimination": ("Discriminability", "Can it be told from real sequences, and by what?"),
}

_MORE_FIGURES = {"motifs": ("motif_pairs",)}


def build_report(output: Path, *, inputs: Inputs, config: Mapping, title: str, captions: Path | None = None) -> None:
    """Write the report.

    inputs: the files it is made of. config: the resolved settings, as shown and as the Methods are filled from.
    captions: folder of the captions (default: the workflow's ``report/``). Absent parts are left out, with a sentence.
    The same inputs give the same bytes.
    """
    captions = captions or _CAPTIONS
    texts = {path.stem: path.read_text() for path in sorted(captions.glob("*.rst"))}
    evaluations = {run: _evaluation(files) for run, files in inputs.evaluations.items()}
    verdicts = verdict.judge(read_table(inputs.verdict))
    summary = read_table(inputs.summary) if inputs.summary else None
    markov = read_table(inputs.markov) if inputs.markov else None
    sequences = {run: tables.read_parquet(path, tables.SEQUENCES) for run, path in inputs.sequences.items()}
    pictures = _Pictures(texts, output)
    numbers = {
        "sequences": max(map(len, sequences.values()), default=0),
        "compared": max((int(frame["n"].max()) for frame in evaluations.values() if len(frame)), default=0),
    }
    best = verdicts[0] if verdicts else None
    page = (
        _environment()
        .get_template("index.html.j2")
        .render(
            title=title,
            css=Markup((_HERE / "report.css").read_text()),
            js=Markup((_HERE / "report.js").read_text()),
            best=best,
            verdicts=verdicts,
            headline=verdict.headline(best) if best else None,
            warning=verdict.warning(best) if best else None,
            warns=verdict.warning,
            alarms=_alarms(inputs.collapses),
            guided=guided(config, [(one.model, one.sampler) for one in verdicts]),
            points=verdict.points(best) if best else [],
            facts=verdict.facts(best, evaluations[best.model, best.sampler])
            if best and (best.model, best.sampler) in evaluations
            else [],
            grammar=verdict.grammar_sentence(best) if best else None,
            grammar_text=_grammar_text(read_json(inputs.grammar)) if inputs.grammar else None,
            standing=pictures.get(inputs.shared_figures.get("comparison"), "comparison"),
            pareto=pictures.get(inputs.shared_figures.get("pareto"), "pareto"),
            curve=pictures.get(inputs.shared_figures.get("training"), "training"),
            curves=_curve_rows(inputs.curves),
            understanding=_understanding_rows(inputs.understanding),
            markov=None if markov is None else _markov_rows(markov),
            summary=None if summary is None else _summary_rows(summary),
            funnel=_funnel(read_table(inputs.funnel)) if inputs.funnel else None,
            runs=_runs(verdicts, evaluations, inputs, pictures),
            comparison=_comparison_rows(verdicts, read_table(inputs.comparison)),
            sequences=_browser(sequences, inputs, output, (config.get("report") or {}).get("sequences", 200)),
            sources=None if inputs.sources is None else read_table(inputs.sources).to_dict("records"),
            numbers=numbers,
            config_text=markup.settings_text(config),
            config=config,
            models={name: _model_text(path) for name, path in sorted(inputs.models.items())},
            versions=_versions(),
            methods=methods(config, summary, markov, numbers),
            metrics=[
                METRICS[name] for name in METRICS.among(name for f in evaluations.values() for name in f["metric"])
            ],
            question_titles={name: titles[0] for name, titles in _QUESTIONS.items()},
        )
    )
    with tables.written_beside(output) as part:
        part.write_text(page)


class _Pictures:
    """Figures for the page, with their captions, until the budget is spent; after that a link to the file."""

    def __init__(self, captions: Mapping[str, str], output: Path):
        self._captions, self._output = captions, output
        self._left, self._count = _PICTURE_BUDGET, 0

    def get(self, path: Path | None, name: str) -> dict | None:
        if path is None:
            return None
        caption = self._captions.get(name, "")
        self._count += 1
        svg = markup.inline_svg(path, f"p{self._count}", markup.first_sentence(caption))
        fits = len(svg) <= self._left
        self._left -= len(svg) if fits else 0
        return {
            "svg": Markup(svg) if fits else None,
            "link": _relative(path, self._output),
            "caption": Markup(markup.caption_html(caption)),
        }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=verdict.number, percent=verdict.percent)
    return environment


def _evaluation(files: Mapping[str, Path]) -> pd.DataFrame:
    """All questions of one run in one EVALUATION frame (details beside them have other columns and are passed over)."""
    frames = [tables.read_tsv(path, tables.EVALUATION) for name, path in sorted(files.items()) if name in _QUESTIONS]
    return pd.concat(frames, ignore_index=True) if frames else tables.empty(tables.EVALUATION)


def _runs(verdicts: list, evaluations: Mapping[Run, pd.DataFrame], inputs: Inputs, pictures: _Pictures) -> list[dict]:
    """Every run's questions, the best run first."""
    out = []
    for one in verdicts:
        run = (one.model, one.sampler)
        frame = evaluations.get(run, tables.empty(tables.EVALUATION))
        standings = {standing.metric: standing for standing in one.standings}
        questions = []
        for name, (heading, ask) in _QUESTIONS.items():
            own = frame[[metric in METRICS and METRICS[metric].question == name for metric in frame["metric"]]]
            if own.empty:
                continue
            metrics = [_metric(metric, own, standings.get(metric)) for metric in dict.fromkeys(own["metric"])]
            questions.append(
                {
                    "name": name,
                    "title": heading,
                    "ask": ask,
                    "pictures": [
                        pictures.get(inputs.figures.get(run, {}).get(figure), figure)
                        for figure in (name, *_MORE_FIGURES.get(name, ()))
                    ],
                    "metrics": [one for one in metrics if not repeats(one["metric"].name)],
                    "more": [one for one in metrics if repeats(one["metric"].name)],
                    "set_titles": [style.title(kind) for kind in style.ordered(own["set"])],
                    "by_label": _by_label(own),
                }
            )
        out.append({"verdict": one, "questions": questions, "legend": Markup(strips.legend(list(frame["set"])))})
    return out


def _metric(name: str, frame: pd.DataFrame, standing) -> dict:
    metric = METRICS[name]
    rows = frame[(frame["metric"] == name) & (frame["label"] == "all")]
    generated = rows[rows["set"] == style.GENERATED]
    row = generated.iloc[0] if len(generated) else None
    notes = rows["note"].dropna()
    return {
        "metric": metric,
        "strip": Markup(strips.strip(rows, metric.title)),
        "value": _interval(row) if row is not None and pd.notna(row["value"]) else None,
        "n": None if row is None else int(row["n"]),
        "note": notes.iloc[0] if len(notes) else None,
        "standing": standing,
        "good": {
            "lower": "Good: low, down to the ceiling.",
            "higher": "Good: high, up to the ceiling.",
            "as ceiling": "Good: at the ceiling, neither less nor more.",
        }[metric.better],
    }


def _interval(row: pd.Series) -> str:
    text = verdict.number(row["value"])
    if pd.notna(row["ci_low"]) and pd.notna(row["ci_high"]):
        text += f" [{verdict.number(row['ci_low'])}, {verdict.number(row['ci_high'])}]"
    return text


def _by_label(frame: pd.DataFrame) -> list[dict]:
    """One row a metric and label, with every set's value and interval; "" where the table has no such row."""
    cells = {
        (row["metric"], row["label"], row["set"]): _interval(row) if pd.notna(row["value"]) else row["note"] or "–"
        for _, row in frame.iterrows()
    }
    sets = style.ordered(frame["set"])
    pairs = list(dict.fromkeys(zip(frame["metric"], frame["label"], strict=True)))
    return [
        {
            "metric": METRICS[metric].title,
            "label": label,
            "cells": [cells.get((metric, label, name), "") for name in sets],
        }
        for metric, label in pairs
    ]


def _markov_rows(markov: pd.DataFrame) -> list[dict]:
    """The candidate chains as cells of a table."""
    marked = markov.assign(per_label=style.is_yes(markov["per_label"]), chosen=style.is_yes(markov["chosen"]))
    return [
        {
            "order": row.order,
            "per_label": "yes" if row.per_label else "no",
            "validation": _bits(row.validation_bits_per_base),
            "test": _bits(row.test_bits_per_base),
            "error": _bits(row.standard_error),
            "chosen": "chosen" if row.chosen else "",
        }
        for row in marked.itertuples(index=False)
    ]


def _bits(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.4f}"


def _summary_rows(summary: pd.DataFrame) -> dict:
    rows = summary.to_dict("records")
    return {"rows": rows, "total": {name: int(summary[name].sum()) for name in ("train", "validation", "test")}}


def _funnel(funnel: pd.DataFrame) -> dict:
    """What each filter dropped, a row a track, a column a stage, over all chromosomes, in the order the stages come."""
    stages = list(dict.fromkeys(funnel["stage"]))
    rows = []
    for (track, label), own in funnel.groupby(["track", "label"], sort=False):
        dropped = own.groupby("stage")["dropped"].sum()
        last = [stage for stage in stages if stage in dropped.index][-1]
        begin = own[own["stage"] == own["stage"].iloc[0]]
        end = own[own["stage"] == last]
        rows.append(
            {
                "track": track,
                "label": label,
                "began": int(begin["kept"].sum() + begin["dropped"].sum()),
                "dropped": [int(dropped.get(stage, 0)) for stage in stages],
                "left": int(end["kept"].sum()),
            }
        )
    # A stage at which no track lost anything needs no column.
    shown = [number for number in range(len(stages)) if any(row["dropped"][number] for row in rows)]
    for row in rows:
        row["dropped"] = [row["dropped"][number] for number in shown]
    idle = [
        stages[number].replace("_", " ")
        for number in range(len(stages))
        if number not in shown and stages[number] not in ("peaks", "windows")
    ]
    return {"stages": [stages[number].replace("_", " ") for number in shown], "rows": rows, "idle": idle}


def _curve_rows(curves: Mapping[str, Path]) -> list[dict]:
    rows = []
    for name, path in sorted(curves.items()):
        frame = tables.read_tsv(path, tables.TRAINING)
        if frame.empty:
            continue
        best = frame.loc[frame["validation_bits_per_base"].idxmin()]
        rows.append(
            {
                "model": name,
                "best": float(best["validation_bits_per_base"]),
                "step": int(best["step"]),
                "steps": int(frame["step"].max()),
                "epochs": float(frame["epoch"].max()),
            }
        )
    return rows


def _understanding_rows(files: Mapping[str, Path]) -> list[dict]:
    """One row a model and kind of features: accuracy and AUROC with their intervals; null numbers are left out."""
    rows = []
    for name, path in sorted(files.items()):
        frame = tables.read_tsv(path, tables.UNDERSTANDING).dropna(subset="value")
        for features, part in frame.groupby("features", sort=False):
            numbers = {row["metric"]: row for _, row in part.iterrows()}
            rows.append(
                {
                    "model": name,
                    "features": {
                        "before": "embeddings before training",
                        "after": "embeddings after training",
                    }.get(features, f"{features} alone"),
                    "n": int(part["n"].iloc[0]),
                    **{
                        metric: f"{row['value']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})"
                        for metric, row in numbers.items()
                    },
                }
            )
    return rows


def _comparison_rows(verdicts: list, comparison: pd.DataFrame) -> list[dict]:
    """One row a run and metric (all labels): value with interval, ceiling, best floor, and share of the way."""
    frame = comparison[(comparison["label"] == "all") & (comparison["set"] == style.GENERATED)]
    intervals = {
        (row["model"], row["sampler"], row["metric"]): _interval(row)
        for _, row in frame.iterrows()
        if pd.notna(row["value"])
    }
    return [
        {
            "run": one,
            "standing": standing,
            "value": intervals.get((one.model, one.sampler, standing.metric), verdict.number(standing.value)),
        }
        for one in verdicts
        for standing in one.standings
    ]


def _browser(sequences: Mapping[Run, pd.DataFrame], inputs: Inputs, output: Path, wanted: int) -> dict | None:
    """The sequences of all runs with their motif hits, and where the rest of them is."""
    if not sequences:
        return None
    hits = {run: browser.read_hits(path) for run, path in inputs.hits.items()}
    rows, shown, legend = browser.sequence_rows(sequences, hits, wanted)
    files = [
        {
            "run": f"{model} / {sampler}",
            "count": len(frame),
            "shown": shown[model, sampler],
            "fasta": _relative(inputs.fastas[model, sampler], output) if (model, sampler) in inputs.fastas else None,
        }
        for (model, sampler), frame in sequences.items()
    ]
    return {"rows": rows, "files": files, "runs": len(sequences), "legend": legend}


def _alarms(collapses: Mapping[Run, Path]) -> list[str]:
    """A sentence a run whose draws, before any filter, were poorer than the training windows."""
    out = []
    for (model, sampler), path in collapses.items():
        table = tables.read_tsv(path, COLLAPSE)
        of_all = table[table["label"] == ALL]
        said = warnings(of_all)
        if said:
            out.append(f"{model} / {sampler}: {'; '.join(said)}.")
    return out


def _grammar_text(grammar: Mapping) -> list[str]:
    """The planted grammar, a sentence a label."""
    names = {key: motif["name"] for key, motif in grammar["motifs"].items()}
    strands = {"+": "", "-": " on the other strand", "either": " on either strand"}
    out = []
    for label, module in grammar["labels"].items():
        sites = [
            f"{names.get(site['matrix_id'], site['matrix_id'])}{strands.get(site['strand'], '')}"
            + (f" (in {verdict.percent(site['probability'])})" if site.get("probability", 1) < 1 else "")
            for site in module["sites"]
        ]
        low, high = module["spacing"]
        gap = f"{low}" if low == high else f"{low} to {high}"
        text = f"{label}: {', then '.join(sites)}"
        if len(sites) > 1:
            text += f", {gap} bp apart"
        if module.get("module_strand") == "either":
            text += "; the whole module on either strand"
        out.append(text + ".")
    return out


def _model_text(path: Path) -> str:
    settings = {name: value for name, value in read_json(path).items() if name != "labels"}
    return markup.settings_text(settings)


def _versions() -> dict[str, str]:
    names = ("snakemake", "torch", "transformers", "numpy", "pandas", "matplotlib", "jinja2")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _relative(path: Path, output: Path) -> str:
    return Path(os.path.relpath(path, output.parent)).as_posix()
