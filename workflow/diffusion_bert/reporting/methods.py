"""A Methods section, filled in from the settings and tables of this run, to be taken into a paper."""

from collections.abc import Mapping, Sequence

import pandas as pd

from diffusion_bert.figures.style import is_yes

_ORDERS = {
    None: "unmasking from left to right, by models that read so, else ancestral sampling (the exact reverse process)",
    "ancestral": "ancestral sampling (the exact reverse process)",
    "random": "unmasking in random order",
    "left_to_right": "unmasking from left to right, one base at a time by models that read so, else",
    "confidence": "unmasking the most confident positions first",
    "entropy": "unmasking the positions of least entropy first",
    "margin": "unmasking the positions of largest margin first",
    "entropy_bounded": "unmasking as many positions of least entropy at once as {entropy_budget:g} bits allow",
}

_ORACLE = "oracle"  # as the scorer of a guide

_KINDS = {
    "convnet": "a network of dilated convolutions",
    "recurrent": "LSTM layers that read bases from either end",
    "bert": "a small BERT transformer",
}
_WEIGHTS = {
    "elbo": " the exact bound as the loss,",
    "clipped": " loss weights clipped at {max_weight:g},",
    "unweighted": " an unweighted loss,",
}


def methods(config: Mapping, summary: pd.DataFrame | None, markov: pd.DataFrame | None, numbers: Mapping) -> list[str]:
    """Paragraphs of plain text.

    config: the resolved settings. summary: SPLIT_SUMMARY. markov: the Markov floor's table (order, chosen, ...).
    numbers: ``sequences`` (generated a run, at most) and ``compared`` (sequences a set in the evaluation), where known.
    """
    return [
        text
        for text in (
            _data(config, summary),
            _models(config),
            _sampling(config, numbers),
            _evaluation(config, markov, numbers),
        )
        if text
    ]


def _data(config: Mapping, summary: pd.DataFrame | None) -> str:
    windows, split = config.get("windows", {}), config.get("split", {})
    sentences = []
    if config.get("sequences"):
        sentences.append(f"Labelled sequences were read from {_source(config['sequences'])}.")
    else:
        place = (
            "a genome simulated with a planted motif grammar"
            if config.get("simulate")
            else f"the genome {_source(config.get('genome', {}))}"
        )
        centre = "summits" if windows.get("centre") == "summit" else "midpoints"
        jitter = f", moved by up to {windows['jitter']} bp at random" if windows.get("jitter") else ""
        sentences.append(
            f"Windows of {windows.get('width', '?')} bp were cut from {place}, centred on the {centre} of the peaks"
            + (" (midpoints where a track states no summit)" if centre == "summits" else "")
            + f"{jitter}."
        )
        limits = []
        if windows.get("max_n") is not None:
            limits.append(f"more than {100 * windows['max_n']:g} % N" if windows["max_n"] else "any N")
        if windows.get("max_lower_case") is not None and windows["max_lower_case"] < 1:
            limits.append(f"more than {100 * windows['max_lower_case']:g} % soft-masked bases")
        if config.get("genome", {}).get("blacklist"):
            limits.append("an overlap with the exclusion list")
        if limits:
            sentences.append(f"Windows with {_series(limits, 'or')} were dropped.")
    if split.get("by") == "chromosome":
        held = [
            f"{_series(list(map(str, split[name])), 'and')} for {purpose}"
            for name, purpose in (("validation", "validation"), ("test", "testing"))
            if split.get(name)
        ]
        sentences.append(f"Chromosomes were held out whole: {'; '.join(held)}." if held else "")
    elif split.get("fractions"):
        shares = split["fractions"]
        sentences.append(
            f"A seeded, label-balanced {100 * shares.get('validation', 0):g} % was held out for validation and "
            f"{100 * shares.get('test', 0):g} % for testing."
        )
    sentences.append(
        "Duplicates within a label, and training windows that also stand in the held-out windows (either strand), were "
        "removed."
    )
    if summary is not None:
        total = summary[["train", "validation", "test"]].sum()
        sentences.append(
            f"This left {total['train']:,} windows for training, {total['validation']:,} for validation and "
            f"{total['test']:,} for testing, of {len(summary)} label{'s' if len(summary) != 1 else ''}."
        )
    return " ".join(filter(None, sentences))


def _models(config: Mapping) -> str:
    models = config.get("models") or {}
    if not models:
        return ""
    parts = []
    for name, settings in models.items():
        kind = _KINDS.get(settings.get("backbone"), f"a {settings.get('backbone', 'masked language model')}")
        if settings.get("start_from"):
            kind = f"starting from {settings['start_from']}"
        unit = next((unit for unit in ("steps", "minutes") if settings.get(unit)), "epochs")
        length = f"{settings.get(unit, '?')} {unit}"
        weight = _WEIGHTS.get((settings.get("weighting") or {}).get("kind"), "").format(
            **settings.get("weighting") or {}
        )
        if settings.get("backbone") == "recurrent":
            share = (settings.get("masking") or {}).get("left_to_right")
            share = "most" if share is None else f"{share:.0%}"
            weight = f" every base of a pass counted, {share} of the windows read from left to right,"
            kmer = (settings.get("architecture") or {}).get("kmer")
            kind += f", each with the {kmer}-mer that ends at it" if kmer else ""
        parts.append(
            f"{name} ({kind}, {settings.get('schedule', 'linear')} schedule,{weight} at most {length} "
            f"in batches of {settings.get('batch_size', '?')}, learning rate {settings.get('learning_rate', '?')})"
        )
    return (
        "Masked language models over single bases were trained as absorbing-state discrete diffusion models (Sahoo et "
        "al. 2024; Shi et al. 2024) with a token for the label, dropped at random: the evidence lower bound on "
        f"the log-likelihood of a sequence is the objective. Models: {'; '.join(parts)}. The weights of the lowest "
        "validation loss, on times and masks that stay the same throughout, were kept; the test windows selected "
        "nothing. All "
        f"random draws derive from the seed {config.get('seed', '?')}."
    )


def _sampling(config: Mapping, numbers: Mapping) -> str:
    samplers = config.get("samplers") or {}
    if not samplers:
        return ""
    parts = []
    for name, settings in samplers.items():
        order = settings.get("order", "ancestral")
        text = f"{name} ({_ORDERS.get(order, f'{order} order')}".format(**settings)
        if order != "entropy_bounded":
            text += f" in {settings.get('steps', '?')} steps"
        text += f", temperature {settings.get('temperature', 1.0):g}, top-p {settings.get('top_p', 1.0):g}"
        if settings.get("top_k"):
            text += f", top-k {settings['top_k']}"
        if settings.get("guidance"):
            text += f", classifier-free guidance {settings['guidance']:g}"
        remask = settings.get("remask") or {}
        if remask.get("strategy"):
            text += f", masking drawn bases again on the way (ReMDM, {remask['strategy']}, eta {remask['eta']:g})"
        if settings.get("template"):
            text += f", within the IUPAC templates of {settings['template']}"
        passes = (settings.get("refine") or {}).get("passes")
        if passes:
            text += f", then {passes} refinement pass{'es' if passes != 1 else ''} over positions of low confidence"
        if guide_of(settings):
            text += f", {guide_of(settings)}"
        parts.append(f"{text})")
    count = f"{numbers['sequences']:,} sequences" if numbers.get("sequences") else "Sequences"
    guide = ""
    if any(settings.get("guide", {}).get("scorer") == _ORACLE and guide_of(settings) for settings in samplers.values()):
        guide = (
            " The guide is a convolutional classifier of the labels and of dinucleotide shuffles, whose score of a "
            "sequence is log p(requested label) - log p(shuffle); it was trained on one half of the training windows "
            "and has no part in the evaluation."
        )
    return f"{count} a run were generated: {'; '.join(parts)}.{guide}"


def guide_of(settings: Mapping) -> str | None:
    """How a sampler was steered by a scorer, in a few words; None where it was not."""
    guide = settings.get("guide") or {}
    if not guide.get("method"):
        return None
    scorer = "the guide" if guide["scorer"] == _ORACLE else f"the function {guide['scorer']}"
    if guide["method"] == "best_of":
        return f"the best of {guide['candidates']} candidates by the score of {scorer}"
    return (
        f"steered by the score of {scorer} (sequential Monte Carlo, Singhal et al. 2025, "
        f"{guide['candidates']} particles, strength {guide['strength']:g})"
    )


def guided(config: Mapping, runs: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence for each of the runs (model, sampler) that a scorer has steered: how, and what that says of its
    metrics."""
    samplers = config.get("samplers") or {}
    predictors = (config.get("evaluation") or {}).get("predictors") or {}
    out = []
    for model, sampler in runs:
        settings = samplers.get(sampler) or {}
        how = guide_of(settings)
        if how is None:
            continue
        scorer = settings["guide"]["scorer"]
        text = f"{model} / {sampler} was guided: its sequences are {how}."
        same = [name for name, entry in predictors.items() if entry.get("entry_point") == scorer]
        if scorer == _ORACLE:
            text += " The judge is another classifier, of other windows and another seed, and has had no part in it."
        elif same:
            text += f" What the predictor {_series(same, 'and')} says of them is no evidence: it is what steered."
        out.append(text)
    return out


def _evaluation(config: Mapping, markov: pd.DataFrame | None, numbers: Mapping) -> str:
    settings = config.get("evaluation") or {}
    chain = "a Markov chain fitted to the training windows"
    if markov is not None and is_yes(markov["chosen"]).any():
        row = markov[is_yes(markov["chosen"])].iloc[0]
        chain += f" (order {int(row['order'])}, chosen on the validation windows)"
    chosen = settings.get("motifs") or {}
    motifs = "as given"
    if chosen.get("file"):
        motifs = f"the motifs of {chosen['file']}"
    elif chosen.get("taxon"):
        motifs = f"the motifs of JASPAR CORE ({chosen['taxon']})"
    if chosen.get("p_value"):
        motifs += f", hits at p < {chosen['p_value']:g}, like matrices joined to families"
    discovered = ""
    if settings.get("discovery"):
        discovered = (
            f" At most {settings['discovery']} motifs were discovered de novo in each set and label, against "
            "dinucleotide shuffles of the same sequences and in the manner of STREME (Bailey 2021), called at "
            f"p < {0.05 / settings['discovery']:.2g} on sequences kept aside, and matched as TOMTOM does (Gupta et al. "
            "2007), at q < 0.05."
        )
    judge = ""
    if settings.get("oracle"):
        judge = (
            " What the sequences would do was asked of a judge: a convolutional classifier of the labels and of "
            "dinucleotide shuffles, trained on one half of the training windows (whole chromosomes where possible) for "
            f"at most {settings['oracle']['epochs']} epochs, chosen and calibrated (temperature, Guo et al. 2017) on "
            "validation windows, and compared with training windows of the other half. Its embeddings gave Fréchet "
            "distances extrapolated to infinite samples (Chong and Forsyth 2020) and unbiased maximum mean "
            "discrepancies (Binkowski et al. 2018)."
        )
    asked = ""
    if settings.get("predictors"):
        names = _series(list(settings["predictors"]), "and")
        asked = (
            f" Scores of predictors made elsewhere ({names}) were compared by their means and by their Wasserstein "
            "distance to those of training windows."
        )
    size = f"{numbers['compared']:,} sequences a set" if numbers.get("compared") else "equal numbers"
    intervals = (
        f" with 95 % intervals from {settings['bootstrap']} bootstrap samples" if settings.get("bootstrap") else ""
    )
    peer = ""
    if settings.get("lstm"):
        peer = (
            " Beside them, as a peer and no floor, stands an autoregressive LSTM of two layers over single bases "
            "(Hochreiter and Schmidhuber 1997) with the label at every step, at most "
            f"{settings['lstm']['parameters']:,} parameters, "
            f"trained on the same windows for {settings['lstm']['epochs']:g} epochs (AdamW, the epoch of the lowest "
            "validation loss kept); it gives exact likelihoods."
        )
    return (
        f"Generated sequences were compared to training windows in composition, k-mers, motifs ({motifs}), likeness to "
        f"training sequences, and likelihood, label by label, at {size}{intervals}.{discovered}{judge}{asked} "
        "Every metric stands between a ceiling (held-out test windows against training windows) and floors: "
        f"dinucleotide shuffles of the test windows (Altschul and Erickson 1985), {chain}, and uniform random bases. A "
        f"metric takes part in the verdict only where it separates floors from ceiling.{peer}"
    )


def _source(settings: Mapping) -> str:
    return str(settings.get("source", "?"))


def _series(items: list[str], word: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
