"""k-mer spectra."""

from diffusion_bert.evaluation.metrics.metric import SHUFFLE, Metric

KMER_SIZES = (1, 2, 3, 4, 5, 6)

METRICS = [
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
            SHUFFLE if k <= 2 else (),
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
            SHUFFLE if k <= 2 else (),
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
            SHUFFLE if k <= 2 else (),
        ),
    )
]
