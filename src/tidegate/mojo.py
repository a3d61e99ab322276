"""Score H2O MOJO files without a JVM: `tidegate.mojo.load("model.zip").predict(frame)`."""

from tidegate.runtime.mojo.compiled import cache_folder
from tidegate.runtime.mojo.delimited import score_csv
from tidegate.runtime.mojo.describe import describe
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.genmodel import Compared, Verification, verify
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.onnx_export import to_onnx
from tidegate.runtime.mojo.warming import compile_kernels, compile_library

__all__ = [
    "Compared",
    "MojoFormatError",
    "MojoModel",
    "MojoRowError",
    "MojoUnsupportedError",
    "Verification",
    "cache_folder",
    "compile_kernels",
    "compile_library",
    "describe",
    "load",
    "score_csv",
    "to_onnx",
    "verify",
]
