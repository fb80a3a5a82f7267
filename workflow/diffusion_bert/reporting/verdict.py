"""The verdict: from each metric's position between floors and ceiling to sentences with numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import pandas as pd

from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.figures import style
from diffusion_bert.figures.standing import repeats

# A metric within a tenth of the way of the ceiling counts as there, within a tenth of the floor as not left.
_THERE, _NOT_LEFT = 0.9, 0.1

_COPIES = ("exact_copies", "near_copies", "near_duplicates", "unique")


@dataclass(frozen=True)
class Standing:
    """One metric of one run, all labels together.

    score: share of the way from the best floor to the ceiling, 0 to 1; past a ceiling that should be met counts as
    falling short does. None where the metric does not tell real sequences from floors.
    grade: "real", "between", "floor", "beyond" (past a ceiling that should be met), "alarm" (a metric that cannot rank,
    and yet clearly worse than real sequences) or "blind".
    lstm: the value of the LSTM's sequences, None where there are none. beats_lstm: whether the generated ones are
    better than these, None where the two cannot be told apart.
    rank: among the runs, which share it where they cannot be told apart; None for one run alone.
    """

    metric: str
    title: str
    question: str
    value: float
    ceiling: float
    floor: float
    floor_name: str
    position: float | None
    score: float | None
    grade: str
    lstm: float | None = None
    beats_lstm: bool | None = None
    rank: int | None = None

    @property
    def floor_title(self) -> str:
        return style.title(self.floor_name) if self.floor_name else ""


@dataclass(frozen=True)
class Verdict:
    """score: median over questions of the median score of each question's metrics (each question has one vote)."""

    model: str
    sampler: str
    score: float | None
    questions: Mapping[str, float]
    standings: tuple[Standing, ...]

    @property
    def run(self) -> str:
        return f"{self.model} / {self.sampler}"

    def of(self, *grades: str) -> list[Standing]:
        return [standing for standing in self.standings if standing.grade in grades]


def judge(verdict: pd.DataFrame) -> list[Verdict]:
    """One verdict a run, the best first.

    verdict: model, sampler, metric, label, value, ceiling, best_floor, floor_name, separates, position,
    worse_than_ceiling, lstm, beats_lstm; only the rows of the label "all" count.
    """
    frame = verdict[verdict["label"] == "all"]
    frame = frame.assign(separates=style.is_yes(frame["separates"]), worse=style.is_yes(frame["worse_than_ceiling"]))
    verdicts = []
    for (model, sampler), own in frame.groupby(["model", "sampler"], sort=False):
        standings = tuple(
            _standing(row)
            for row in own.itertuples(index=False)
            # What compares two models says nothing of where sequences stand.
            if not pd.isna(row.value) and not (row.metric in METRICS and len(METRICS[row.metric].judges) > 1)
        )
        by_question: dict[str, list[float]] = {}
        for standing in standings:
            if standing.score is not None:
                by_question.setdefault(standing.question, []).append(standing.score)
        questions = {name: median(scores) for name, scores in by_question.items()}
        score = median(questions.values()) if questions else None
        verdicts.append(Verdict(str(model), str(sampler), score, questions, standings))
    return sorted(verdicts, key=lambda one: -1.0 if one.score is None else one.score, reverse=True)


def headline(verdict: Verdict) -> str:
    """One sentence: how good the best run is."""
    counted = [standing for standing in verdict.standings if standing.score is not None]
    if verdict.score is None:
        return (
            f"No verdict on {verdict.run}: on these sequences no metric tells held-out real sequences from the "
            "floors, so none can tell whether the generator is good."
        )
    if verdict.score >= _THERE:
        judgement = "hard to tell from real sequences"
    elif verdict.score >= 0.5:
        judgement = "nearer to real sequences than to the floors, and not there yet"
    elif verdict.score > _NOT_LEFT:
        judgement = "better than the floors, and far from real sequences"
    else:
        judgement = "no better than the floors"
    return (
        f"Sequences of {verdict.run} are {judgement}: they go {percent(verdict.score)} of the way from the best floor "
        f"to held-out real sequences (the median over {len(verdict.questions)} "
        f"question{'s' if len(verdict.questions) != 1 else ''}, from the {len(counted)} of {len(verdict.standings)} "
        "metrics that tell the two apart on this data)."
    )


def warning(verdict: Verdict) -> str | None:
    """What no score may hide: copies of training sequences, or the same sequence over and over."""
    warned = [one for one in verdict.of("alarm", "beyond") if one.metric in _COPIES]
    # A metric that ranks and fails warns as well: its score is one among many.
    warned += [one for one in verdict.of("floor") if one.metric in _COPIES]
    if not warned:
        return None
    said = [
        f"{one.title.lower()}: {percent(one.value)}, against {percent(one.ceiling)} in real sequences" for one in warned
    ]
    return f"But beware of copies. {'; '.join(said)[0].upper()}{'; '.join(said)[1:]}."


def points(verdict: Verdict, most: int = 5) -> list[tuple[str, str, list[str]]]:
    """What is behind the headline: (kind, heading, items), kind good, middling, bad or blind; none without items."""
    groups = [
        ("good", "As in held-out real sequences", _items(verdict.of("real"), most, best_first=True)),
        ("middling", "Between floors and real", _items(verdict.of("between"), most, best_first=False)),
        ("bad", "Not good", _items(verdict.of("alarm", "floor", "beyond"), most, best_first=False)),
    ]
    blind = [standing.title for standing in verdict.of("blind") if not repeats(standing.metric)]
    if blind:
        more = f" and {len(blind) - most} more" if len(blind) > most else ""
        text = (
            f"{', '.join(blind[:most])}{more}: a floor does as well here as real sequences, so these have no part in "
            "the verdict."
        )
        groups.append(("blind", "Says nothing on this data", [text]))
    return [group for group in groups if group[2]]


def facts(verdict: Verdict, evaluations: pd.DataFrame) -> list[str]:
    """Plain facts that need no floor: the run against the LSTM, copies of training sequences, and the model against the
    best Markov chain.

    evaluations: the run's EVALUATION rows of all questions.
    """
    out = against_lstm(verdict, evaluations)
    rows = evaluations[evaluations["label"] == "all"].dropna(subset=["value"]).set_index(["metric", "set"])
    rows = rows[~rows.index.duplicated()]

    def value(metric: str, which: str) -> float | None:
        return float(rows.loc[(metric, which), "value"]) if (metric, which) in rows.index else None

    exact, near, real = (
        value("exact_copies", "generated"),
        value("near_copies", "generated"),
        value("near_copies", "ceiling"),
    )
    if exact is not None:
        text = (
            "No generated sequence is a copy of a training sequence"
            if exact == 0
            else f"{percent(exact)} of the generated sequences are copies of a training sequence"
        )
        if near is not None:
            text += f"; {percent(near)} are near copies (identity of 0.9 or more)"
            text += "." if real is None else f", against {percent(real)} of held-out real sequences."
        out.append(text if text.endswith(".") else text + ".")
    model, markov = value("model_bits_per_base", "ceiling"), value("markov_bits_per_base", "ceiling")
    if model is not None and markov is not None:
        how = "fewer than" if model < markov else "more than" if model > markov else "as many as"
        paired = ("model_minus_markov", "ceiling")
        doubt = ""
        if paired in rows.index and rows.loc[paired, "ci_low"] < 0 < rows.loc[paired, "ci_high"]:
            low, high = rows.loc[paired, "ci_low"], rows.loc[paired, "ci_high"]
            doubt = f" That difference may be chance: its 95 % interval is {low:+.3f} to {high:+.3f}."
        out.append(
            f"On held-out windows the model needs {model:.3f} bits a base, {how} the best Markov chain's {markov:.3f} "
            f"(a uniform guess needs 2).{doubt}"
        )
    return out


def against_lstm(verdict: Verdict, evaluations: pd.DataFrame) -> list[str]:
    """How the generated sequences, and the model, stand against the LSTM; nothing where there is none.

    evaluations: the run's EVALUATION rows of all questions. Metrics that repeat others (``repeats``) do not count.
    """
    asked = [one for one in verdict.standings if one.lstm is not None and not repeats(one.metric)]
    asked = [one for one in asked if one.metric not in METRICS or not METRICS[one.metric].judges]
    if not asked:
        return []
    won = [one for one in asked if one.beats_lstm is True]
    lost = [one for one in asked if one.beats_lstm is False]
    if len(won) > len(lost):
        judgement = "It beats the LSTM"
    else:
        judgement = "It does not beat the LSTM, and a generator that cannot has not earned its name"
    out = [
        f"Against a small autoregressive LSTM trained on the same windows, {verdict.run} is better in {len(won)} of "
        f"{len(asked)} metrics and worse in {len(lost)}; in the others the two cannot be told apart. {judgement}."
        + (f" Better in: {_listed(won)}." if won else "")
        + (f" Worse in: {_listed(lost)}." if lost else "")
    ]
    rows = evaluations[(evaluations["label"] == "all") & (evaluations["set"] == style.CEILING)].dropna(subset=["value"])
    rows = rows.drop_duplicates("metric").set_index("metric")
    if {"model_minus_lstm", "model_bits_per_base", "lstm_bits_per_base"} <= set(rows.index):
        model, lstm, paired = (
            rows.loc[name] for name in ("model_bits_per_base", "lstm_bits_per_base", "model_minus_lstm")
        )
        low, high = paired["ci_low"], paired["ci_high"]
        how = "knows more than" if high < 0 else "knows less than" if low > 0 else "is not told apart from"
        out.append(
            f"On held-out windows the model {how} the LSTM: {model['value']:.3f} bits a base against "
            f"{lstm['value']:.3f}, a difference of {paired['value']:+.3f} on the same windows (95 % interval "
            f"{low:+.3f} to {high:+.3f})."
        )
    return out


def _listed(standings: list[Standing], most: int = 4) -> str:
    """The metrics' titles, the first few by name."""
    more = [f"and {len(standings) - most} more"] if len(standings) > most else []
    return "; ".join([one.title for one in standings[:most]] + more)


def grammar_sentence(verdict: Verdict) -> str | None:
    """The headline of a simulated run: how much of the planted grammar the generator has learned."""
    own = next((standing for standing in verdict.standings if standing.metric == "grammar_recovery"), None)
    if own is None:
        return None
    return (
        f"{percent(own.value)} of the generated sequences carry the complete planted module of their label (all its "
        f"motifs, in order, on the right strands, spaced as planted), against {percent(own.ceiling)} of held-out "
        f"sequences and {percent(own.floor)} of those of the best floor ({own.floor_title})."
    )


def percent(share: float) -> str:
    """A share as a percentage: whole numbers, one decimal below 10 %, two below 1 %."""
    value = 100 * share
    digits = 0 if value == 0 or abs(value) >= 9.95 else 1 if abs(value) >= 0.995 else 2
    return f"{value:.{digits}f} %"


def number(value: float | None) -> str:
    """Three significant digits without an exponent where that is readable."""
    if value is None or pd.isna(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    text = f"{value:.3g}"
    return f"{value:.3f}" if 1 <= abs(value) < 10 else text


def _standing(row) -> Standing:
    known = METRICS.get(row.metric)
    position = None if pd.isna(row.position) else float(row.position)
    value, ceiling, floor = float(row.value), float(row.ceiling), float(row.best_floor)
    score = None
    if not row.separates or position is None:
        grade = "alarm" if row.worse else "blind"
    else:
        score = min(max(position, 0.0), 1.0)
        # On the other side of the ceiling than the floor: too much of what real sequences have, not too little.
        past = known is not None and known.better == "as ceiling" and (value - ceiling) * (floor - ceiling) < 0
        grade = "real" if score >= _THERE else "beyond" if past else "floor" if score <= _NOT_LEFT else "between"
    return Standing(
        metric=row.metric,
        title=known.title if known else row.metric.replace("_", " "),
        question=known.question if known else "other",
        value=value,
        ceiling=ceiling,
        floor=floor,
        floor_name="" if pd.isna(row.floor_name) else str(row.floor_name),
        position=position,
        score=score,
        grade=grade,
        lstm=None if pd.isna(row.lstm) else float(row.lstm),
        beats_lstm=None if pd.isna(row.beats_lstm) else row.beats_lstm in ("yes", True),
        rank=None if pd.isna(row.rank) else int(row.rank),
    )


def _items(standings: list[Standing], most: int, *, best_first: bool) -> list[str]:
    """A line a metric, at most ``most``, no more than two a question so that one question does not fill the list."""
    taken: dict[str, int] = {}
    chosen = []
    shown = [standing for standing in standings if not repeats(standing.metric)]
    # Copies first, then what ranks, then what only raises an alarm.
    shown.sort(
        key=lambda one: (one.grade == "alarm" and one.metric not in _COPIES, one.score or 0.0), reverse=best_first
    )
    for standing in shown:
        if taken.get(standing.question, 0) < 2 and len(chosen) < most:
            taken[standing.question] = taken.get(standing.question, 0) + 1
            chosen.append(standing)
    lines = [_line(standing) for standing in chosen]
    if len(standings) > len(chosen):
        lines.append(f"and {len(standings) - len(chosen)} more, below")
    return lines


def _line(one: Standing) -> str:
    floor = f"{number(one.floor)} ({one.floor_title})" if one.floor_name else number(one.floor)
    text = f"{one.title}: {number(one.value)}; real {number(one.ceiling)}, best floor {floor}"
    if one.grade == "alarm":
        return f"{one.title}: {number(one.value)}; real {number(one.ceiling)}: clearly worse than real sequences"
    if one.grade == "beyond":
        return f"{text}: past what real sequences do"
    if not one.score:
        return f"{text}: no better than the floor"
    return f"{text}: {percent(one.score or 0.0)} of the way"
