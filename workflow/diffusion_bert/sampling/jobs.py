"""The two jobs of generation, files in and files out: a whole run, or a shard of one that a whole run then takes up."""

from collections.abc import Callable, Sequence
from pathlib import Path

from diffusion_bert.errors import UserError
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling.collapse import COLLAPSE
from diffusion_bert.sampling.draws import DRAWS
from diffusion_bert.sampling.request import Request
from diffusion_bert.sampling.run import FILTERED
from diffusion_bert.tables import SEQUENCES, read_parquet, write_fasta, write_parquet, write_tsv


def generate_run(
    request: Request,
    *,
    fasta: str | Path,
    table: str | Path,
    filtered: str | Path,
    collapsed: str | Path | None,
    kept: Path | None = None,
    shards: Sequence[str | Path] = (),
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Generate, filter, bound the likelihood of each sequence under the model; write FASTA and tables.

    Written: fasta; table (SEQUENCES); filtered (FILTERED); collapsed (COLLAPSE), unless None. kept: a file for draws,
    from which a killed run goes on. shards: what ``generate_shard`` wrote for the same request; nothing is drawn that
    is in there. name: of the sampler, for the FASTA's headers. progress: called with (sequences drawn, asked for).

    Raises UserError for what cannot be made, and where not one sequence passes the filters.
    """
    with reproducible():
        run, first = request.begin(kept, progress)
        for path in shards:
            run.draws.take_table(read_parquet(path, DRAWS))
        chosen = run.different(run.passing(first))
        account = run.account(first, chosen)
        made = [draw for draw in chosen if draw is not None]
        if not made:
            raise UserError(
                f"Not one of {len(first)} sequences passes generate.filters in {run.filters.attempts} draws each "
                f"({', '.join(f'{row.sequences} {row.what}' for row in account.itertuples() if row.sequences)}).",
                "Loosen the filters, or the template that they contradict.",
            )
        run.score(made)
        alarms = run.collapse(first)
        frame = run.table(made)
        write_tsv(account, filtered, FILTERED)
        if collapsed is not None:
            write_tsv(alarms, collapsed, COLLAPSE)
        write_parquet(frame, table, SEQUENCES)
        write_fasta(frame, fasta, sampler=name)


def generate_shard(
    request: Request,
    *,
    shard: int,
    shards: int,
    table: str | Path,
    kept: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """The part of ``generate_run`` that looks at one sequence at a time, for every ``shards``-th sequence from number
    ``shard`` on: the draws until each passes the filters, with bounds on the likelihood, as a DRAWS table."""
    with reproducible():
        run, first = request.begin(kept, progress)
        first = first[shard::shards]
        chosen = run.passing(first)
        run.score([draw for draw in chosen if draw is not None])
        wanted = []
        for asked, last in zip(first, chosen, strict=True):
            draw = asked
            wanted.append(draw)
            while draw != last and draw.attempt + 1 < run.filters.attempts:
                draw = draw.again()
                wanted.append(draw)
        write_parquet(run.draws.table(wanted), table, DRAWS)
