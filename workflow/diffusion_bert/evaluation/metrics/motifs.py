"""Known motifs."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
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
