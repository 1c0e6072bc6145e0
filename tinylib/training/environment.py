"""Variables of the environment with which accelerate would train otherwise than the settings say: refused by name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tinylib.errors import UsageError

# what leaves a training as it is; `accelerate launch` and `accelerate config` of other projects set these
HARMLESS: dict[str, tuple[str, ...]] = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("", "1"),
    "ACCELERATE_MIXED_PRECISION": ("", "no", "bf16"),  # bf16 or fp32 is what the settings say
    "ACCELERATE_DYNAMO_BACKEND": ("", "no"),
    "ACCELERATE_USE_DEEPSPEED": ("", "0", "no", "false"),
    "ACCELERATE_USE_FSDP": ("", "0", "no", "false"),
    "ACCELERATE_USE_MEGATRON_LM": ("", "0", "no", "false"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("", "0", "no", "false"),
}


def check(environment: Mapping[str, str] | None = None) -> None:
    """UsageError for the first variable that would change a training without a word."""
    values = os.environ if environment is None else environment
    for name, harmless in HARMLESS.items():
        if (value := values.get(name, "")).lower() not in harmless:
            raise UsageError(f"{name}={value}: would change this training; unset it (the run's settings alone decide)")
