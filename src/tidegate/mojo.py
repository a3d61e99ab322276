"""Score H2O MOJO files without a JVM: `tidegate.mojo.load("model.zip").predict(frame)`."""

from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.load import MojoModel, load

__all__ = ["MojoFormatError", "MojoModel", "MojoRowError", "MojoUnsupportedError", "load"]
