"""The time of a search: what is spent, and what the next settings will take."""

from dataclasses import dataclass

from ddpm_cli.commands.tune.store import Measurement


@dataclass
class Budget:
    """The seconds of a search, and the costs of the settings measured so far.

    It counts the seconds that are kept with the measurements, so that a search that goes on stops
    where it would have stopped. evaluations: network evaluations of all images measured.
    """

    seconds: float
    spent: float = 0.0
    evaluations: int = 0
    drawing: float = 0.0
    extracting: float = 0.0
    settings: int = 0

    def add(self, measurement: Measurement, evaluations: int) -> None:
        """Count a measured setting."""
        self.spent += measurement.seconds
        self.drawing += measurement.drawing
        self.extracting += measurement.extracting
        self.evaluations += evaluations
        self.settings += 1

    def prediction(self, evaluations: int) -> float:
        """The seconds that a setting of so many network evaluations will take."""
        if not self.settings:
            return 0.0
        return self.drawing / self.evaluations * evaluations + self.extracting / self.settings

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - self.spent
