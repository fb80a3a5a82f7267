"""How new, and how different from one another."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
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
    Metric(
        "clusters",
        "Clusters of sequences",
        "Clusters of the set, of which each is a chain of sequences with an identity of at least 0.9 from one to the "
        "next on either strand, as a share of all sequences of the set; 1 where no two are alike.",
        "single linkage, Sneath 1957; pairs by mappy (Li 2018) and edlib (Sosic and Sikic 2017)",
        "share",
        "higher",
        "novelty",
        (0, 1),
    ),
    Metric(
        "largest_cluster",
        "Largest cluster of sequences",
        "Share of the set's sequences that are in its largest cluster: a chain of sequences with an identity of at "
        "least 0.9 from one to the next on either strand.",
        "single linkage, Sneath 1957; pairs by mappy (Li 2018) and edlib (Sosic and Sikic 2017)",
        "share",
        "lower",
        "novelty",
        (0, 1),
    ),
]
