"""Can the set be told from real sequences at all."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
    Metric(
        "discrimination_kmer_auroc",
        "Told from real by k-mers",
        "Chance that a sequence of the set scores above one of the reference (area under the ROC curve) under a "
        "logistic regression on k-mers, k = 1 to 6, both strands together, five-fold cross-validated; 0.5 where the "
        "two cannot be told apart.",
        "Hanley and McNeil 1982; a classifier as two-sample test, Lopez-Paz and Oquab 2017",
        "AUROC",
        "lower",
        "discrimination",
        (0, 1),
    ),
    Metric(
        "discrimination_gapped_auroc",
        "Told from real by gapped k-mers",
        "The same under a logistic regression on gapped 6-mers: two 3-mers with 0 to 5 letters of any kind between "
        "them, both strands together.",
        "gapped k-mers after Ghandi et al. 2014 (gkm-SVM), those whose gaps lie together in the middle",
        "AUROC",
        "lower",
        "discrimination",
        (0, 1),
    ),
    Metric(
        "discrimination_cnn_auroc",
        "Told from real by a network",
        "The same under a convolutional network that starts from the judge's and is trained on, three-fold "
        "cross-validated, against training windows that the judge has not learned from; of each label by the scores of "
        "one network for all labels.",
        "a classifier as two-sample test, Lopez-Paz and Oquab 2017",
        "AUROC",
        "lower",
        "discrimination",
        (0, 1),
    ),
]
