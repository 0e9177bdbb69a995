"""The base of everything that an operator sets: immutable, checked, one clear line when something is wrong."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rhotem.core import InputError


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown names, one clear line when something is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InputError(f"{type(self).__name__}: {_one_line(error)}") from None


def _one_line(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = ".".join(str(x) for x in item["loc"])
        message = re.sub(r"^Value error, ", "", item["msg"])
        parts.append(f"{name} = {item['input']!r}: {message}" if name else message)
    return "; ".join(parts)
