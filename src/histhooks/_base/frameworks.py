"""The supported frameworks: their names, the recorded versions, and what to install. Data only."""

from __future__ import annotations

from typing import NamedTuple


class Framework(NamedTuple):
    """One framework that histhooks records.

    Attributes
    ----------
    title : str
        As people write it.
    distribution : str
        Its name on a package index.
    minimum : tuple of int
        The oldest major and minor version that is recorded.
    tested : str
        The newest version that the tests passed with.
    import_names : tuple of str
        Import names to wait for.
    aliases : tuple of str
        Other words for it, in lower case.
    requires : tuple of str
        What the extra of its name installs beside it.
    classes : tuple of str
        Packages whose estimators are its own wherever a program derives from them, so that another integration which
        meets such a class leaves it to this one.
    """

    title: str
    distribution: str
    minimum: tuple[int, int]
    tested: str
    import_names: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


# By the name that `autolog()` takes and that runs are recorded under.
FRAMEWORKS = {
    "sklearn": Framework(
        "scikit-learn", "scikit-learn", (1, 6), "1.9.1", ("sklearn",), ("scikit-learn", "scikit_learn")
    ),
    "xgboost": Framework(
        "XGBoost", "xgboost", (2, 1), "3.2.0", ("xgboost",), requires=("scikit-learn>=1.6",), classes=("xgboost",)
    ),
    "keras": Framework("Keras", "keras", (3, 6), "3.15.1", ("keras",)),
    "lightning": Framework(
        "Lightning",
        "lightning",
        (2, 4),
        "2.6.6",
        ("lightning", "pytorch_lightning"),
        ("pytorch-lightning", "pytorch_lightning"),
    ),
    "torch": Framework("PyTorch", "torch", (2, 4), "2.13.0", ("torch",), ("pytorch",)),
}
NAMES = {alias: name for name, framework in FRAMEWORKS.items() for alias in framework.aliases}
