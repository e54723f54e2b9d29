"""Decides which traces are recorded, as ``OTEL_TRACES_SAMPLER`` names it. Pure.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers
"""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from hookline.errors import InvalidConfig
from hookline.telemetry.tracing.context import TraceContext

SamplerName = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
_ID_DIGITS: Final = 16  # of the trace id, its lower half, as OpenTelemetry's own samplers compare it
_IDS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Sampler:
    """Says yes to that share of the traces that begin here; ``by_parent``: the others are decided already."""

    ratio: float = 1.0
    by_parent: bool = True
    _below: int = field(init=False, repr=False)  # lower halves of ids that are sampled

    def __post_init__(self) -> None:
        object.__setattr__(self, "_below", round(self.ratio * _IDS))

    def is_sampled(self, trace_id: str, parent: TraceContext | None) -> bool:
        """Is a span of that trace recorded?"""
        if self.by_parent and parent is not None:
            return parent.is_sampled
        if self.ratio >= 1:
            return True
        return int(trace_id[-_ID_DIGITS:], 16) < self._below


def sampler_of(name: str, argument: str) -> Sampler:
    """The sampler that the variables name; an empty name is the default. Raises InvalidConfig."""
    name = name.strip().lower() or "parentbased_always_on"
    if name not in get_args(SamplerName):
        known = ", ".join(get_args(SamplerName))
        raise InvalidConfig(f"OTEL_TRACES_SAMPLER is {name!r}; use one of {known}", field="OTEL_TRACES_SAMPLER")
    by_parent = name.startswith("parentbased_")
    match name.removeprefix("parentbased_"):
        case "always_on":
            return Sampler(1.0, by_parent)
        case "always_off":
            return Sampler(0.0, by_parent)
        case _:
            return Sampler(check_ratio(argument or "1", "OTEL_TRACES_SAMPLER_ARG"), by_parent)


def check_ratio(text: str, name: str) -> float:
    """The share of traces to record, from 0 to 1. Raises InvalidConfig, naming the setting."""
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise InvalidConfig(f"{name} is {text!r}; it is a share of the traces, from 0 to 1, such as 0.1", field=name)
    return ratio
