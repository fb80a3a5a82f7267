"""The learned baseline: an autoregressive LSTM, a peer of the diffusion models with exact probabilities."""
