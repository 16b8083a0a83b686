"""What was to be reached, what was, and whether that is enough; one table at the end tells it all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Target:
    """One promise of speed: a figure, and the bound it has to keep."""

    work: str
    wanted: str
    reached: str
    is_met: bool

    @classmethod
    def at_least(cls, work: str, figure: float, bound: float, unit: str) -> Self:
        return cls(work, f"at least {bound:g} {unit}", _figure(figure), figure >= bound)

    @classmethod
    def at_most(cls, work: str, figure: float, bound: float, unit: str) -> Self:
        return cls(work, f"at most {bound:g} {unit}", _figure(figure), figure <= bound)

    def __str__(self) -> str:
        return f"{self.reached} ({self.wanted}: {self.verdict})"

    @property
    def verdict(self) -> str:
        return "met" if self.is_met else "NOT MET"


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Targets:
    """All of them, in the order in which they were measured."""

    all: list[Target] = field(default_factory=list)

    def tell(self, line: str, *targets: Target) -> None:
        """Print a line of figures with its targets behind it, and keep them for the table."""
        self.all += targets
        print(" | ".join([line, *(f"{target.work}: {target}" for target in targets)]), flush=True)

    def keep(self, *targets: Target) -> None:
        """For figures that a table of their own has shown."""
        self.all += targets

    def print_table(self) -> None:
        met = sum(target.is_met for target in self.all)
        print(f"\n{met} of {len(self.all)} targets met; load of the machine at the end {os.getloadavg()[0]:.1f}")
        print("| work | wanted | reached | |")
        print("|---|---|---|---|")
        for target in self.all:
            print(f"| {target.work} | {target.wanted} | {target.reached} | {target.verdict} |")
