"""Which data came out of which transformers, and what these had been fitted on.

An integration says :func:`learned` when a transformer was fitted, and :func:`came_out` of each call that transforms.
What a run is trained on or judged by is then looked up among the rows that came out
(:mod:`histhooks._collect.flows`), beside the program, and the run gets rows of `transforms`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._host.guard import guarded
from histhooks._record.run import Run

if TYPE_CHECKING:
    from histhooks._collect.flows import Transformer


@guarded
def learned(run: Run, class_name: str, *, requires_fit: bool, uses_target: bool) -> Transformer | None:
    """Keep in mind what a transformer was fitted on.

    Parameters
    ----------
    run : Run
        Of its fit.
    class_name : str
    requires_fit : bool
        Whether it learns from data.
    uses_target : bool
        Whether it learned from targets too.

    Returns
    -------
    Transformer or None
        None if no data is looked at.
    """
    return None if run.looks is None else run.looks.transformer(class_name, requires_fit, uses_target)


@guarded
def came_out(run: Run, transformer: Transformer, X: Any, out: Any) -> None:
    """Follow rows through a transformer.

    Parameters
    ----------
    run : Run
        Of the fit of the transformer.
    transformer : Transformer
    X, out : array-like of n_samples rows
    """
    if run.looks is not None and run.takes_more():
        run.looks.came_out(transformer, X, out)
