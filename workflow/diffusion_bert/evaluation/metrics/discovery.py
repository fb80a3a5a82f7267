"""Motifs found without being told what to look for."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
    Metric(
        "discovered_recall",
        "Motifs discovered again",
        "Share of the motifs discovered de novo in the reference, against its dinucleotide shuffles, that are among "
        "those discovered in the set, matched one to one (q < 0.05). The interval is Wilson's for that number of "
        "motifs, which is n.",
        "discovery after STREME, Bailey 2021; likeness of motifs after TOMTOM, Gupta et al. 2007; Wilson 1927",
        "share",
        "higher",
        "discovery",
        (0, 1),
    ),
    Metric(
        "discovered_novel",
        "Discovered motifs that nobody knows",
        "Share of the motifs discovered de novo in the set that are like none discovered in the reference and like no "
        "known motif (q < 0.05). The interval is Wilson's for that number of motifs, which is n.",
        "discovery after STREME, Bailey 2021; likeness of motifs after TOMTOM, Gupta et al. 2007; Wilson 1927",
        "share",
        "lower",
        "discovery",
        (0, 1),
    ),
]
