"""Models for which H2O's own Java scorer (genmodel) is known to be wrong or to fail.

Tidegate gives the answers of H2O's cluster for them. Measured with H2O 3.46.0.11.
"""

from __future__ import annotations

from tidegate.runtime.mojo.gam_smoothers import CUBIC, THIN_PLATE
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.nested_encodings import Translator
from tidegate.runtime.mojo.stacked_ensemble import StackedEnsemble

_COUNTED = "it counts the offset or weights column among the inputs of an encoding that takes several columns"
_SMOOTHERS = "it misplaces the columns of I-splines and M-splines, or fails where there are others beside them"
_PLATES = "it has no answer for thin plates on standardised inputs"
_LOST = "it takes the columns that the training made of categories for missing values"
_WITHIN = "it hands levels to the models within as they are numbered outside"
_UNNAMED = "it cannot load networks that were trained with enum_limited"

_OFFSET_IGNORED = "it leaves out the offset of a network"
_OFFSET_REFUSED = "it refuses rows of an additive model with an offset"


def fault_of(model: MojoModel) -> str | None:
    """Return what genmodel does wrong with a model, a sentence without its end; None where its answers are right."""
    header = model.header
    if any(field.marks_absence for field in model.fields):
        return _LOST
    if header.algorithm == "gam":
        return _OFFSET_REFUSED if model.offset_column is not None else _of_smoothers(header)
    encoding = header.keys.find("_genmodel_encoding")
    if header.algorithm == "deep_learning" and encoding is None and "_n_orig_names" in header.keys:
        return _UNNAMED
    if header.algorithm == "deep_learning" and model.offset_column is not None:
        return _OFFSET_IGNORED
    others = len(header.info.columns) - header.n_features - bool(header.supervised)
    if encoding in ("OneHotExplicit", "Binary") and others > 0:
        return _COUNTED
    scorer = model.scorer
    if isinstance(scorer, StackedEnsemble) and any(isinstance(one.picks, Translator) for one in scorer.base_models):
        return _WITHIN
    return None


def _of_smoothers(header: Header) -> str | None:
    kinds = set(header.keys.integers("bs_sorted").tolist())
    if not kinds <= {CUBIC, THIN_PLATE}:
        return _SMOOTHERS
    return _PLATES if THIN_PLATE in kinds and header.keys.flag("standardize", default=False) else None
