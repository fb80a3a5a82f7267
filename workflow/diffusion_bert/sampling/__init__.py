"""Generation: a trained denoiser run backwards. ``generate.generate`` is the way in."""
