"""Every figure: one function each, from tables to one SVG file.

The same tables give the same bytes (no date, fixed ids), text stays text, and colours mean the same everywhere:
green is the ceiling (held-out real sequences), orange is generated, muted colours are the floors.

training: draw_training_curve. distributions: draw_composition, draw_novelty, draw_likelihood.
agreement: draw_kmers, draw_motifs. discrimination: draw_discrimination. function: draw_function.
standing: draw_grammar, draw_comparison.
"""
