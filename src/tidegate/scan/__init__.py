"""Are these Dockerfiles and Compose files safe to build and run? `scan([Path("stack")])`.

Files are parsed first, Dockerfiles as BuildKit does and Compose files with their lines; rules are pure functions over
what was parsed. hadolint's rules are applied beside ours where it is installed.
"""

from tidegate.scan.records import Finding, HadolintRun, Ignored, Report, Rule, Severity
from tidegate.scan.scanning import WithHadolint, scan

__all__ = ["Finding", "HadolintRun", "Ignored", "Report", "Rule", "Severity", "WithHadolint", "scan"]
