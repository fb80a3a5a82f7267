"""What the simulation planted."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
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
