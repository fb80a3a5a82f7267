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
        "family_rate_pearson",
        "Motif family rates, Pearson",
        "Pearson correlation over all families of like motifs of the share of sequences with a hit of any member, set "
        "against reference.",
        "families by average linkage, as RSAT matrix-clustering, Castro-Mondragon et al. 2017",
        "correlation",
        "higher",
        "motifs",
        (-1, 1),
    ),
    Metric(
        "enriched_overlap",
        "Enriched families, overlap",
        "Of the motif families with a member that is enriched over dinucleotide shuffles (false discovery rate 0.05) "
        "in the set or in the reference, each over its own, the share with one in both.",
        "Jaccard 1912; Fisher 1922 with the false discovery rate of Benjamini and Hochberg 1995",
        "share",
        "higher",
        "motifs",
        (0, 1),
    ),
    Metric(
        "motif_excess",
        "Enriched motifs, excess",
        "Over the motifs that are enriched in the reference, one a family: summed rate above that in dinucleotide "
        "shuffles of the reference, as a share of the reference's own; 1 is as much as the reference has, 0 as little "
        "as its shuffles.",
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
        "the reference's enriched motifs, one a family, lie, all of them pooled.",
        "Lin 1991",
        "bits",
        "lower",
        "motifs",
        (0, 1),
    ),
    Metric(
        "motif_centring",
        "Motifs at the centre",
        "Share of the hits of the reference's enriched motifs, one a family, whose middle lies in the central fifth of "
        "the window; 0.2 where position means nothing.",
        "after CentriMo, Bailey and Machanick 2012",
        "share",
        "as ceiling",
        "motifs",
        (0, 1),
    ),
    Metric(
        "pair_cooccurrence_pearson",
        "Pairs of motifs, Pearson",
        "Pearson correlation, set against reference, over pairs of the reference's enriched motifs (one a family) of "
        "the log odds that a sequence holds both; no base counts for two motifs, and pairs count that the reference "
        "holds, or should by chance, in 5 sequences.",
        "log odds ratio of Haldane 1956 and Anscombe 1956",
        "correlation",
        "higher",
        "motifs",
        (-1, 1),
    ),
    Metric(
        "pair_spacing_divergence",
        "Spacing of pairs of motifs",
        "Jensen-Shannon divergence between set and reference of how two enriched motifs less than 60 bp apart stand to "
        "each other: pair, strands and distance in bins of 5 bp, over the pairs (at most 12) that in the reference "
        "stand in one way more often than by chance. Few pairs differ by chance alone, and the fewer the more: the "
        "ceiling shows how much.",
        "Lin 1991",
        "bits",
        "lower",
        "motifs",
        (0, 1),
    ),
]
