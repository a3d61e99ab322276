"""Which types in a skops file need no trust beyond what skops itself knows to be safe.

skops rebuilds an object from the class that is installed and from data in the file; no code comes from the file. Its
own list is short, so that a random forest or a nearest-neighbour model would need trust. The ones below are classes
of scikit-learn and NumPy that hold data and whose loading calls nothing that the file chooses, and scoring functions
that a selector refers to by name. Functions in general stay out: a reference to one that writes files or opens
connections, handed to a transformer, would run at the first prediction.

Known weakness: the arrays of a neighbour index are used unchecked by compiled code (those of trees are checked, see
`sklearn_trees`), so a forged file can crash the process that loads it. That process is a checker or a replica, never
the controller.
"""

from __future__ import annotations

HARMLESS_TYPES = frozenset(
    {
        "numpy.dtype",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
#: Modules of which every public name is such a class.
HARMLESS_MODULES = ("sklearn._loss.link", "sklearn._loss.loss", "sklearn._loss._loss", "sklearn.metrics._dist_metrics")


def is_harmless(name: str) -> bool:
    """Say whether a type that skops does not know may be loaded without the user's trust."""
    return name in HARMLESS_TYPES or name.rpartition(".")[0] in HARMLESS_MODULES
