"""Which inverse link a model uses, by the names in its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import link_kernel
from tidegate.runtime.mojo.errors import MojoUnsupportedError

#: Boosted trees cap their exponentials at 1e19, and their `inverse` has another bound than that of linear models.
_GBM = {
    "identity": link_kernel.IDENTITY,
    "log": link_kernel.LOG_CAPPED,
    "logit": link_kernel.LOGIT_CAPPED,
    "ologit": link_kernel.LOGIT_CAPPED,
    "ologlog": link_kernel.OLOGLOG_CAPPED,
    "oprobit": link_kernel.ZERO,
    "inverse": link_kernel.INVERSE_GBM,
}
_GLM = {
    "identity": link_kernel.IDENTITY,
    "log": link_kernel.LOG,
    "logit": link_kernel.LOGIT,
    "inverse": link_kernel.INVERSE,
    "tweedie": link_kernel.TWEEDIE,
}
#: What boosted trees use where the file says nothing, as all did before July 2019.
_GBM_DEFAULTS = {
    "bernoulli": "logit",
    "quasibinomial": "logit",
    "fractionalbinomial": "logit",
    "modified_huber": "logit",
    "ordinal": "logit",
    "multinomial": "log",
    "poisson": "log",
    "gamma": "log",
    "tweedie": "log",
}


@dataclass(frozen=True)
class Link:
    """An inverse link: a constant of `link_kernel`, and the power that only `TWEEDIE` has."""

    code: int
    power: float = 0.0

    def inverse(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of each of the values, an array of the same shape, which may have any."""
        flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
        out = np.empty_like(flat)
        link_kernel.inverse_of_each(self.code, flat, self.power, out)
        return out.reshape(values.shape)


def gbm_link(name: str | None, distribution: str) -> Link:
    """Return the link of boosted trees; without a name, that of the distribution.

    Raises:
        MojoUnsupportedError: no such link is known.
    """
    return _found(_GBM, _GBM_DEFAULTS.get(distribution, "identity") if name is None else name)


def glm_link(name: str, power: float = 0.0) -> Link:
    """Return the link of a linear or additive model, with the power of the link where it is "tweedie".

    Raises:
        MojoUnsupportedError: no such link is known.
    """
    return Link(_found(_GLM, name).code, power)


def _found(links: dict[str, int], name: str) -> Link:
    code = links.get(name)
    if code is None:
        raise MojoUnsupportedError(f"the link {name!r} is not known", expected=", ".join(links))
    return Link(code)
