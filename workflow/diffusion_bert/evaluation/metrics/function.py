"""What the sequences would do, by the word of an oracle that no generator has seen."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
    Metric(
        "label_fidelity",
        "Fidelity to the label",
        "Share of sequences whose most probable label, in the eyes of the judge, is the one that was asked for.",
        "textbook (accuracy)",
        "share",
        "as ceiling",
        "function",
        (0, 1),
    ),
    Metric(
        "oracle_activity",
        "Predicted activity",
        "Mean over sequences of log p(requested label) - log p(background) in the eyes of the judge, all classes taken "
        "as equally common.",
        "log-likelihood ratio of a calibrated classifier (Guo et al. 2017)",
        "nats",
        "as ceiling",
        "function",
    ),
    Metric(
        "oracle_activity_wasserstein",
        "Predicted activity, distance",
        "Wasserstein-1 distance between the predicted activities of the set's sequences and of training windows that "
        "the judge has not learned from.",
        "Vaserstein 1969; scipy.stats.wasserstein_distance",
        "nats",
        "lower",
        "function",
        (0, None),
    ),
    Metric(
        "frechet_distance",
        "Fréchet distance",
        "Squared Fréchet distance between the Gaussians that fit the judge's embeddings of set and reference "
        "(training windows that it has not learned from; its root mean square is 1), extrapolated to sets without end; "
        "it may fall below 0 by chance.",
        "Heusel et al. 2017; extrapolation as FID-infinity, Chong and Forsyth 2020",
        "squared distance",
        "lower",
        "function",
    ),
    Metric(
        "mmd",
        "Maximum mean discrepancy",
        "Unbiased estimate of the squared maximum mean discrepancy between the judge's embeddings of set and "
        "reference (whose root mean square is 1), with the kernel (x·y / dimensions + 1) to the third power; it may "
        "fall below 0 by chance.",
        "Gretton et al. 2012; kernel as KID, Binkowski et al. 2018",
        "squared distance",
        "lower",
        "function",
    ),
]
