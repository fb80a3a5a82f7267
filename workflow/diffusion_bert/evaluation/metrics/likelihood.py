"""What models think of the sequences."""

from diffusion_bert.evaluation.metrics.metric import Metric

METRICS = [
    Metric(
        "model_bits_per_base",
        "Bits a base under the model",
        "Mean over sequences of an upper bound of -log2 p(sequence) / length under the diffusion model (negative "
        "evidence lower bound, Monte Carlo); of a model that reads from left to right that number itself, exact.",
        "Sahoo et al. 2024; Shi et al. 2024",
        "bits a base",
        "as ceiling",
        "likelihood",
        (0, None),
        judges=("model",),
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
        judges=("model",),
    ),
    Metric(
        "lstm_bits_per_base",
        "Bits a base under the LSTM",
        "Mean over sequences of -log2 p(sequence) / length under an autoregressive LSTM trained on the same windows, "
        "exact.",
        "Hochreiter and Schmidhuber 1997; Graves 2013",
        "bits a base",
        "as ceiling",
        "likelihood",
        (0, None),
        judges=("lstm",),
    ),
    Metric(
        "model_minus_lstm",
        "Model against LSTM",
        "Mean over the same sequences of bits a base under the model (at most) minus bits a base under the LSTM "
        "(exact); below 0 on held-out sequences the model knows more than the LSTM. Each knows its own sequences best, "
        "so this compares the two models and ranks no sequences.",
        "paired difference",
        "bits a base",
        "lower",
        "likelihood",
        judges=("model", "lstm"),
    ),
]
