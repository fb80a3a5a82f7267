"""Every metric that the evaluation reports: what it is, where it comes from, and which way is better.

One statement for tables, report and comparison. ``better`` is ``lower`` or ``higher`` where the direction holds
without end, and ``as ceiling`` where a generator should do what held-out real sequences do, no less and no more
(a GC content, the identity to the nearest training sequence).

A floor made from the held-out windows themselves shares some of their properties by construction: a dinucleotide
shuffle has exactly the GC content of its window. It is no floor for the metrics of such a property (``kept_by``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """name: as in the tables. title: a few words for headings and axes. definition: one plain sentence. source: paper
    or format. unit: of the value. better: ``lower``, ``higher`` or ``as ceiling``. question: the table that holds it.
    bounds: the values that are possible at all (None: unbounded). kept_by: floors that have the property of the
    held-out windows by construction."""

    name: str
    title: str
    definition: str
    source: str
    unit: str
    better: str
    question: str
    bounds: tuple[float | None, float | None] = (None, None)
    kept_by: tuple[str, ...] = ()


_SHUFFLE = ("dinucleotide_shuffle",)

QUESTIONS = ("composition", "kmers", "motifs", "novelty", "likelihood", "grammar")

_COMPOSITION = [
    Metric(
        "gc_mean",
        "GC content",
        "Mean over sequences of the share of G and C among their A, C, G and T.",
        "textbook",
        "share",
        "as ceiling",
        "composition",
        (0, 1),
        _SHUFFLE,
    ),
    Metric(
        "gc_sd",
        "Spread of GC",
        "Standard deviation between sequences of their GC content.",
        "textbook",
        "share",
        "as ceiling",
        "composition",
        (0, 0.5),
        _SHUFFLE,
    ),
    Metric(
        "gc_wasserstein",
        "GC distance",
        "Wasserstein-1 distance between the GC contents of the set's sequences and of the reference's.",
        "Vaserstein 1969; scipy.stats.wasserstein_distance",
        "share",
        "lower",
        "composition",
        (0, 1),
        _SHUFFLE,
    ),
    Metric(
        "gc_ks",
        "GC, Kolmogorov-Smirnov",
        "Largest difference between the distribution functions of GC content of the set and of the reference.",
        "Kolmogorov 1933, Smirnov 1948; scipy.stats.ks_2samp",
        "share",
        "lower",
        "composition",
        (0, 1),
        _SHUFFLE,
    ),
    Metric(
        "cpg_observed_expected",
        "CpG observed/expected",
        "CpG dinucleotides times sequence length, over the product of C and G counts, summed over the set's sequences.",
        "Gardiner-Garden and Frommer 1987",
        "ratio",
        "as ceiling",
        "composition",
        (0, None),
        _SHUFFLE,
    ),
    Metric(
        "longest_homopolymer",
        "Longest homopolymer",
        "Mean over sequences of the length of their longest run of one base.",
        "textbook",
        "bp",
        "as ceiling",
        "composition",
        (0, None),
    ),
    Metric(
        "trinucleotide_entropy",
        "Complexity",
        "Mean over sequences of the Shannon entropy of their overlapping trinucleotides; low where sequences repeat "
        "themselves.",
        "Shannon 1948; trinucleotides as in DUST, Morgulis et al. 2006",
        "bits",
        "as ceiling",
        "composition",
        (0, 6),
    ),
    Metric(
        "chargaff_skew",
        "Strand asymmetry",
        "|A - T| / (A + T) + |C - G| / (C + G) over the whole set; 0 where Chargaff's second parity rule holds.",
        "Rudner, Karkas and Chargaff 1968",
        "share",
        "as ceiling",
        "composition",
        (0, 2),
        _SHUFFLE,
    ),
    Metric(
        "position_divergence",
        "Composition along the window",
        "Jensen-Shannon divergence of base composition between set and reference, in each of twenty equal bins along "
        "the window, averaged over the bins.",
        "Lin 1991",
        "bits",
        "lower",
        "composition",
        (0, 1),
    ),
]

KMER_SIZES = (1, 2, 3, 4, 5, 6)

_KMERS = [
    metric
    for k in KMER_SIZES
    for metric in (
        Metric(
            f"kmer_js_divergence_{k}",
            f"{k}-mer Jensen-Shannon divergence",
            f"Jensen-Shannon divergence, logarithm to base 2, between the pooled {k}-mer frequencies of set and "
            "reference (overlapping, strand as written).",
            "Lin 1991",
            "bits",
            "lower",
            "kmers",
            (0, 1),
            _SHUFFLE if k <= 2 else (),
        ),
        Metric(
            f"kmer_js_distance_{k}",
            f"{k}-mer Jensen-Shannon distance",
            f"Square root of the Jensen-Shannon divergence (bits) between the {k}-mer spectra of set and reference.",
            "Endres and Schindelin 2003; scipy.spatial.distance.jensenshannon with base 2",
            "square root of bits",
            "lower",
            "kmers",
            (0, 1),
            _SHUFFLE if k <= 2 else (),
        ),
        Metric(
            f"kmer_pearson_{k}",
            f"{k}-mer Pearson correlation",
            f"Pearson correlation over all {4**k} {k}-mers of their frequencies in set and reference.",
            "Pearson 1895",
            "correlation",
            "higher",
            "kmers",
            (-1, 1),
            _SHUFFLE if k <= 2 else (),
        ),
    )
]

_MOTIFS = [
    Metric(
        "motif_rate_pearson",
        "Motif rates, Pearson",
        "Pearson correlation over all motifs of the share of sequences with a hit, set against reference.",
        "Pearson 1895; rates as in de Almeida et al. 2022, JASPAR motifs",
        "correlation",
        "higher",
        "motifs",
        (-1, 1),
    ),
    Metric(
        "motif_rate_spearman",
        "Motif rates, Spearman",
        "Spearman rank correlation over all motifs of the share of sequences with a hit, set against reference.",
        "Spearman 1904",
        "correlation",
        "higher",
        "motifs",
        (-1, 1),
    ),
    Metric(
        "motif_rate_difference",
        "Motif rates, difference",
        "Mean over all motifs of the absolute difference between the share of sequences with a hit in set and "
        "reference.",
        "textbook",
        "share",
        "lower",
        "motifs",
        (0, 1),
    ),
    Metric(
        "motif_excess",
        "Enriched motifs, excess",
        "Over the motifs that are enriched in the reference: summed rate above that in dinucleotide shuffles of the "
        "reference, as a share of the reference's own; 1 is as much as the reference has, 0 as little as its shuffles.",
        "Fisher 1922 with the false discovery rate of Benjamini and Hochberg 1995",
        "share",
        "as ceiling",
        "motifs",
    ),
    Metric(
        "motif_contrast_pearson",
        "Motifs by label",
        "Pearson correlation, set against reference, of each motif's rate in a label minus its rate in the other "
        "labels; near 0 where the label is ignored.",
        "Pearson 1895",
        "correlation",
        "higher",
        "motifs",
        (-1, 1),
    ),
    Metric(
        "motif_position_divergence",
        "Place of motifs in the window",
        "Jensen-Shannon divergence between set and reference of where along the window (ten equal bins) the hits of "
        "the reference's enriched motifs lie, all of them pooled.",
        "Lin 1991",
        "bits",
        "lower",
        "motifs",
        (0, 1),
    ),
    Metric(
        "motif_centring",
        "Motifs at the centre",
        "Share of the hits of the reference's enriched motifs whose middle lies in the central fifth of the window; "
        "0.2 where position means nothing.",
        "after CentriMo, Bailey and Machanick 2012",
        "share",
        "as ceiling",
        "motifs",
        (0, 1),
    ),
]

_NOVELTY = [
    Metric(
        "nearest_identity",
        "Identity to the nearest training sequence",
        "Mean over sequences of the identity to the nearest training sequence on either strand: 1 - edits / length, "
        "the sequence aligned whole, the training sequence's ends free.",
        "mappy (Li 2018) for candidates, edlib (Sosic and Sikic 2017) for the edit distance",
        "share",
        "as ceiling",
        "novelty",
        (0, 1),
    ),
    Metric(
        "exact_copies",
        "Exact copies of training",
        "Share of sequences that are a training sequence, letter by letter, on either strand.",
        "textbook",
        "share",
        "lower",
        "novelty",
        (0, 1),
    ),
    Metric(
        "near_copies",
        "Near copies of training",
        "Share of sequences with an identity of at least 0.9 to a training sequence on either strand.",
        "textbook",
        "share",
        "lower",
        "novelty",
        (0, 1),
    ),
    Metric(
        "longest_shared",
        "Longest piece shared with training",
        "Mean over sequences of the longest stretch that also stands, letter by letter, in a training sequence on "
        "either strand.",
        "longest common substring, exact",
        "bp",
        "as ceiling",
        "novelty",
        (0, None),
    ),
    Metric(
        "unique",
        "Distinct sequences",
        "Distinct sequences, a reverse complement counting as the same, as a share of all sequences of the set.",
        "textbook",
        "share",
        "higher",
        "novelty",
        (0, 1),
    ),
    Metric(
        "near_duplicates",
        "Near duplicates within the set",
        "Share of sequences with an identity of at least 0.9 to another sequence of the set, on either strand.",
        "mappy (Li 2018) for candidates, edlib (Sosic and Sikic 2017) for the edit distance",
        "share",
        "lower",
        "novelty",
        (0, 1),
    ),
]

_LIKELIHOOD = [
    Metric(
        "model_bits_per_base",
        "Bits a base under the model",
        "Mean over sequences of an upper bound of -log2 p(sequence) / length under the diffusion model (negative "
        "evidence lower bound, Monte Carlo).",
        "Sahoo et al. 2024; Shi et al. 2024",
        "bits a base",
        "as ceiling",
        "likelihood",
        (0, None),
    ),
    Metric(
        "markov_bits_per_base",
        "Bits a base under the Markov chain",
        "Mean over sequences of -log2 p(sequence) / length under the best Markov chain of the training windows, exact.",
        "Shannon 1948; Witten and Bell 1991",
        "bits a base",
        "as ceiling",
        "likelihood",
        (0, None),
    ),
    Metric(
        "model_minus_markov",
        "Model against Markov chain",
        "Mean over the same sequences of bits a base under the model minus bits a base under the best Markov chain; "
        "below 0 on held-out sequences the model knows more than the chain.",
        "paired difference",
        "bits a base",
        "lower",
        "likelihood",
    ),
]

_GRAMMAR = [
    Metric(
        "grammar_recovery",
        "Complete modules",
        "Share of sequences that hold their label's whole module: every site, in order, on the right strands, spaced "
        "as planted.",
        "the planted grammar of the simulation",
        "share",
        "as ceiling",
        "grammar",
        (0, 1),
    ),
    Metric(
        "grammar_sites",
        "Sites of the module",
        "Mean over sequences of the share of their label's planted motifs that occur at all, anywhere on either "
        "strand.",
        "the planted grammar of the simulation",
        "share",
        "as ceiling",
        "grammar",
        (0, 1),
    ),
    Metric(
        "grammar_syntax",
        "Syntax, given the sites",
        "Among sequences that hold all of their label's motifs anywhere: the share in which they form the module.",
        "the planted grammar of the simulation",
        "share",
        "as ceiling",
        "grammar",
        (0, 1),
    ),
    Metric(
        "grammar_specificity",
        "Own label's module rather than another's",
        "Share of sequences with their own label's complete module minus the mean share with another label's.",
        "the planted grammar of the simulation",
        "share",
        "as ceiling",
        "grammar",
        (-1, 1),
    ),
    Metric(
        "grammar_spacing_distance",
        "Spacing within modules",
        "Wasserstein-1 distance between set and reference of the gaps between neighbouring sites in the planted order "
        "and on the planted strands, up to 20 bp beyond the planted range.",
        "Vaserstein 1969",
        "bp",
        "lower",
        "grammar",
        (0, None),
    ),
]

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in _COMPOSITION + _KMERS + _MOTIFS + _NOVELTY + _LIKELIHOOD + _GRAMMAR
}
