"""The handwritten digits that come with the package."""

from pathlib import Path

from ddpm_cli.data.sources.hub import hub
from ddpm_cli.data.sources.source import Source


def digits() -> Source:
    """1,797 grey 8x8 handwritten digits of the package (Alpaydin & Kaynak 1998, UCI, CC BY 4.0)."""
    return hub(name=str(Path(__file__).with_name("digits.parquet")))
