"""How training went."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from diffusion_bert.figures import style


@style.styled
def draw_training_curve(tables: Mapping[str, pd.DataFrame], markov_bits: float | None, path: Path) -> None:
    """Bits a base against steps for each model, beside the best Markov chain and 2.0 bits (uniform guessing).

    tables: TRAINING frames by model. markov_bits: validation bits a base of the chosen Markov chain, if known.
    """
    tables = {name: frame for name, frame in tables.items() if len(frame)}
    if not tables:
        style.say_nothing_to_draw(path, "No model was trained.")
        return
    figure, axes = style.new_figure(1, 1, 7.2, 3.4)
    ax = axes[0, 0]
    for number, (name, frame) in enumerate(sorted(tables.items())):
        colour = style.SERIES[number % len(style.SERIES)]
        ax.plot(frame["step"], frame["train_bits_per_base"], color=colour, alpha=0.35, linewidth=1)
        ax.plot(frame["step"], frame["validation_bits_per_base"], color=colour, label=name)
        kept = frame.loc[frame["validation_bits_per_base"].idxmin()]
        ax.plot(kept["step"], kept["validation_bits_per_base"], "o", color=colour, markersize=6)
        ax.annotate(
            f"{kept['validation_bits_per_base']:.3f}",
            (kept["step"], kept["validation_bits_per_base"]),
            xytext=(0, -13),
            textcoords="offset points",
            color=colour,
            ha="center",
        )
    validation = pd.concat([frame["validation_bits_per_base"] for frame in tables.values()])
    lowest = min(validation.min(), 2.0 if markov_bits is None else markov_bits)
    # The first noisy training batches must not squeeze what matters into a line.
    best = max(frame["validation_bits_per_base"].min() for frame in tables.values())
    highest = max(2.0, min(validation.max(), max(2.05, best + 0.1)))
    margin = 0.14 * (highest - lowest)
    ax.set_ylim(lowest - 1.6 * margin, highest + margin)
    # Curves fall from above, on the left, to where their last number stands, on the right.
    _horizontal(ax, 2.0, "uniform guessing: 2.000", "#666666", right=True)
    if markov_bits is not None:
        name, clear = f"best Markov chain: {markov_bits:.3f}", best < markov_bits - 0.5 * margin
        _horizontal(ax, markov_bits, name, style.colour("markov"), right=clear)
    ax.set_xlabel("training step")
    ax.set_ylabel("bits a base (lower is better)")
    ax.set_title("validation (strong; dot: the weights kept), training (faint)")
    if len(tables) > 1:
        ax.legend(loc="upper right")
    style.save(figure, path)


def _horizontal(ax, height: float, text: str, colour: str, *, right: bool) -> None:
    """A line with its name: above it at the right end, or below it at the left."""
    ax.axhline(height, color=colour, linestyle="--", linewidth=1)
    ax.annotate(
        text,
        (1.0 if right else 0.0, height),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, 3) if right else (3, -3),
        textcoords="offset points",
        color=colour,
        ha="right" if right else "left",
        va="bottom" if right else "top",
    )
